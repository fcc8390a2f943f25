// Gemma 3's text model (arXiv:2503.19786), as in transformers' models/gemma3: norms before and after attention and MLP,
// and layers that see a window between ones that see everything, each kind with rotary frequencies of its own.
#include <cmath>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Gemma3TextConfig : DenseConfig {
  int64_t sliding_window;
  double query_pre_attn_scalar, attn_logit_softcapping, final_logit_softcapping;
  bool attention_bias;
  std::vector<bool> sliding;  // by layer
  explicit Gemma3TextConfig(const Config& c)
      : DenseConfig(c, {.num_key_value_heads = 4,
                        .head_dim = 256,
                        .max_position_embeddings = 131072,
                        .hidden_act_key = "hidden_activation|hidden_act",
                        .hidden_act = "gelu_pytorch_tanh",
                        .tie_word_embeddings = true}),
        sliding_window(c.Int("sliding_window", 4096)),
        query_pre_attn_scalar(c.Real("query_pre_attn_scalar", 256)),
        attn_logit_softcapping(c.Real("attn_logit_softcapping", 0)),
        final_logit_softcapping(c.Real("final_logit_softcapping", 0)),
        attention_bias(c.Bool("attention_bias", false)) {
    const int64_t pattern = c.Int("sliding_window_pattern|_sliding_window_pattern", 6);
    std::vector<std::string> types = c.Strings("layer_types");
    if (!types.empty() && types.size() != static_cast<size_t>(num_hidden_layers)) {
      c.Fail("layer_types",
             "has " + std::to_string(types.size()) + " entries, expected one a layer");
      types.clear();
    }
    for (int64_t i = 0; i < num_hidden_layers; ++i) {
      sliding.push_back(types.empty() ? pattern > 0 && (i + 1) % pattern != 0
                                      : types[i] == "sliding_attention");
    }
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.embed_scale = std::sqrt(static_cast<double>(hidden_size));
    s.logit_softcap = final_logit_softcapping;
    return s;
  }
  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = attention_bias,
            .output_bias = attention_bias,
            .qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps, 1, KEEL_NORM_CAST_LAST),
            .window = sliding[layer] ? sliding_window : 0,
            .scale = 1 / std::sqrt(query_pre_attn_scalar),
            .softcap = attn_logit_softcapping};
  }
};

struct Gemma3RMSNorm : RmsNorm {
  Gemma3RMSNorm(const Scope& s, const Gemma3TextConfig& c)
      : RmsNorm(s, c.hidden_size, c.rms_norm_eps, 1, KEEL_NORM_CAST_LAST) {}
};

struct Gemma3RotaryEmbedding {
  Rope full, sliding;
  Gemma3RotaryEmbedding(const Scope& s, const Gemma3TextConfig& c)
      : full(s, c.head_dim, 1000000, "rope_parameters/full_attention"),
        sliding(s, c.head_dim, 10000, "rope_parameters/sliding_attention") {}
};

struct Gemma3DecoderLayer {
  bool sliding;
  RopeAttention self_attn;
  GatedMlp mlp;
  Gemma3RMSNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm,
      post_feedforward_layernorm;
  Gemma3DecoderLayer(const Scope& s, const Gemma3TextConfig& c, int layer)
      : sliding(c.sliding[layer]),
        self_attn(s / "self_attn", c, layer, c.attention(layer)),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c),
        post_attention_layernorm(s / "post_attention_layernorm", c),
        pre_feedforward_layernorm(s / "pre_feedforward_layernorm", c),
        post_feedforward_layernorm(s / "post_feedforward_layernorm", c) {}
  Tensor operator()(Tensor x, const Gemma3RotaryEmbedding& ropes, Tensor positions) const {
    const Rope& rope = sliding ? ropes.sliding : ropes.full;
    x = x + post_attention_layernorm(self_attn(input_layernorm(x), rope, positions));
    return x + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(x)));
  }
};

struct Gemma3ForCausalLM {
  static constexpr const char* kModelType = "gemma3_text";
  static constexpr const char* kArchitectures[] = {"Gemma3ForCausalLM"};
  using ConfigType = Gemma3TextConfig;

  Gemma3RotaryEmbedding rotary_emb;
  Gemma3RMSNorm norm;
  LayerList<Gemma3DecoderLayer> layers;
  Gemma3ForCausalLM(const Scope& root, const Gemma3TextConfig& c)
      : rotary_emb(root, c),
        norm(root / "model" / "norm", c),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.gemma3", "0.1.0", keel::Gemma3ForCausalLM);
