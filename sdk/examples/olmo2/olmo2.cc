// OLMo 2 (arXiv:2501.00656), as in transformers' models/olmo2: norms after each block instead of before it, and q and k
// normed over all heads at once.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct Olmo2Config : DenseConfig {
  bool attention_bias;
  explicit Olmo2Config(const Config& c)
      : DenseConfig(c, {.rms_norm_eps = 1e-5}), attention_bias(c.Bool("attention_bias", false)) {}
  // Multiplied by the weight before the cast.
  RmsNorm Norm(const Scope& s, int64_t size) const {
    return RmsNorm(s, size, rms_norm_eps, 0, KEEL_NORM_CAST_LAST);
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    // Norms over all heads of q and k need them whole.
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise_gather_output"},
                 {"layers.*.self_attn.k_proj", "colwise_gather_output"},
                 {"layers.*.self_attn.v_proj", "colwise_gather_output"},
                 {"layers.*.self_attn.o_proj", "rowwise_split_input"},
                 {"layers.*.mlp.gate_proj", "colwise"},
                 {"layers.*.mlp.up_proj", "colwise"},
                 {"layers.*.mlp.down_proj", "rowwise"}};
    return s;
  }
};

struct Olmo2Attention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  RmsNorm q_norm, k_norm;
  Attention attn;
  Olmo2Attention(const Scope& s, const Olmo2Config& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.num_attention_heads * head_dim, c.attention_bias),
        k_proj(s / "k_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        v_proj(s / "v_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        o_proj(s / "o_proj", c.num_attention_heads * head_dim, c.hidden_size, c.attention_bias),
        q_norm(c.Norm(s / "q_norm", c.num_attention_heads * head_dim)),
        k_norm(c.Norm(s / "k_norm", c.num_key_value_heads * head_dim)),
        attn(s, {.layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_key_value_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor q = q_norm(q_proj(x)).Heads(head_dim), k = k_norm(k_proj(x)).Heads(head_dim);
    return o_proj(attn(rope(q, positions), rope(k, positions), v_proj(x).Heads(head_dim)).Flat());
  }
};

struct Olmo2DecoderLayer {
  Olmo2Attention self_attn;
  GatedMlp mlp;
  RmsNorm post_attention_layernorm, post_feedforward_layernorm;
  Olmo2DecoderLayer(const Scope& s, const Olmo2Config& c, int layer)
      : self_attn(s / "self_attn", c, layer),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        post_attention_layernorm(c.Norm(s / "post_attention_layernorm", c.hidden_size)),
        post_feedforward_layernorm(c.Norm(s / "post_feedforward_layernorm", c.hidden_size)) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + post_attention_layernorm(self_attn(x, rope, positions));
    return x + post_feedforward_layernorm(mlp(x));
  }
};

struct Olmo2ForCausalLM {
  static constexpr const char* kModelType = "olmo2";
  static constexpr const char* kArchitectures[] = {"Olmo2ForCausalLM"};
  using ConfigType = Olmo2Config;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<Olmo2DecoderLayer> layers;
  Olmo2ForCausalLM(const Scope& root, const Olmo2Config& c)
      : rotary_emb(root, c.rope()),
        norm(c.Norm(root / "model" / "norm", c.hidden_size)),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace

KEEL_PLUGIN("org.example.olmo2", "1.0.0", Olmo2ForCausalLM);
