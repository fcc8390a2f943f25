// Llama (arXiv:2302.13971, arXiv:2407.21783), as in transformers' models/llama/modeling_llama.py. Written out in full:
// the file to read before writing a family of your own.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct LlamaConfig : DenseConfig {
  bool attention_bias, mlp_bias;
  explicit LlamaConfig(const Config& c)
      : DenseConfig(c),
        attention_bias(c.Bool("attention_bias", false)),
        mlp_bias(c.Bool("mlp_bias", false)) {}
};

struct LlamaMLP {
  Linear gate_proj, up_proj, down_proj;
  uint32_t act;
  LlamaMLP(const Scope& s, const LlamaConfig& c)
      : gate_proj(s / "gate_proj", c.hidden_size, c.intermediate_size, c.mlp_bias),
        up_proj(s / "up_proj", c.hidden_size, c.intermediate_size, c.mlp_bias),
        down_proj(s / "down_proj", c.intermediate_size, c.hidden_size, c.mlp_bias),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x) const { return down_proj(ActMul(gate_proj(x), up_proj(x), act)); }
};

struct LlamaAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  Attention attn;
  LlamaAttention(const Scope& s, const LlamaConfig& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.num_attention_heads * head_dim, c.attention_bias),
        k_proj(s / "k_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        v_proj(s / "v_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        o_proj(s / "o_proj", c.num_attention_heads * head_dim, c.hidden_size, c.attention_bias),
        attn(s, {.layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_key_value_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor q = rope(q_proj(x).Heads(head_dim), positions);
    const Tensor k = rope(k_proj(x).Heads(head_dim), positions);
    const Tensor v = v_proj(x).Heads(head_dim);
    return o_proj(attn(q, k, v).Flat());
  }
};

struct LlamaDecoderLayer {
  LlamaAttention self_attn;
  LlamaMLP mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  LlamaDecoderLayer(const Scope& s, const LlamaConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer),
        mlp(s / "mlp", c),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct LlamaForCausalLM {
  static constexpr const char* kModelType = "llama";
  static constexpr const char* kArchitectures[] = {"LlamaForCausalLM"};
  using ConfigType = LlamaConfig;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<LlamaDecoderLayer> layers;
  LlamaForCausalLM(const Scope& root, const LlamaConfig& c)
      : rotary_emb(root, c.head_dim, c.rope_theta),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.llama", "0.1.0", keel::LlamaForCausalLM);
