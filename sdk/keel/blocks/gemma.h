// Gemma's decoders: 1 (arXiv:2403.08295), 2 (arXiv:2408.00118), which has norms on both sides of attention and MLP and
// windows in between, and 3's (arXiv:2503.19786), which norms queries and keys and rotates each kind of layer by
// frequencies of its own.
//
//   #include "sdk/keel/blocks/gemma.h"
//   using namespace keel;
//
//   struct MyConfig : GemmaConfig {
//     explicit MyConfig(const Config& c) : GemmaConfig(c, Gemma2()) {}
//   };
//
//   struct MyForCausalLM : GemmaDecoder<MyConfig> {
//     static constexpr const char* kModelType = "my";
//     static constexpr const char* kArchitectures[] = {"MyForCausalLM"};
//     using GemmaDecoder::GemmaDecoder;
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_GEMMA_H_
#define KEEL_SDK_KEEL_BLOCKS_GEMMA_H_

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// Which of them it is, and what its configuration class has where the file leaves a key out.
struct GemmaDefaults {
  int generation;
  DenseDefaults dense;
  int64_t sliding_window_pattern = 0;  // every so many layers one sees everything; 0: all do
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;
};

inline GemmaDefaults Gemma1() {
  return {.generation = 1,
          .dense = {.vocab_size = 256000,
                    .hidden_size = 3072,
                    .intermediate_size = 24576,
                    .num_hidden_layers = 28,
                    .num_attention_heads = 16,
                    .num_key_value_heads = 16,
                    .head_dim = 256,
                    .max_position_embeddings = 8192,
                    .hidden_act = "gelu_pytorch_tanh",
                    .tie_word_embeddings = true}};
}

inline GemmaDefaults Gemma2() {
  return {.generation = 2,
          .dense = {.vocab_size = 256000,
                    .hidden_size = 2304,
                    .intermediate_size = 9216,
                    .num_hidden_layers = 26,
                    .num_attention_heads = 8,
                    .num_key_value_heads = 4,
                    .head_dim = 256,
                    .max_position_embeddings = 8192,
                    .hidden_act_key = "hidden_activation|hidden_act",
                    .hidden_act = "gelu_pytorch_tanh",
                    .tie_word_embeddings = true},
          .sliding_window_pattern = 2,
          .attn_logit_softcapping = 50,
          .final_logit_softcapping = 30};
}

inline GemmaDefaults Gemma3() {
  GemmaDefaults d = Gemma2();
  d.generation = 3;
  d.dense.vocab_size = 262208;
  d.dense.max_position_embeddings = 131072;
  d.sliding_window_pattern = 6;
  d.attn_logit_softcapping = d.final_logit_softcapping = 0;
  return d;
}

struct GemmaConfig : DenseConfig {
  int generation;
  std::string rope_params;  // where the whole file has them
  int64_t sliding_window;
  double query_pre_attn_scalar, attn_logit_softcapping, final_logit_softcapping;
  bool attention_bias;
  std::vector<bool> sliding;  // by layer

  // `c`: of the decoder, which the whole file has at `within`, "text_config/", or is.
  GemmaConfig(const Config& c, const GemmaDefaults& d, const std::string& within = "")
      : DenseConfig(c, d.dense),
        generation(d.generation),
        rope_params(within + "rope_parameters"),
        sliding_window(d.sliding_window_pattern > 0 ? c.Int("sliding_window", 4096) : 0),
        query_pre_attn_scalar(generation == 1 ? static_cast<double>(head_dim)
                                              : c.Real("query_pre_attn_scalar", 256)),
        attn_logit_softcapping(Softcap(c, "attn_logit_softcapping", d.attn_logit_softcapping)),
        final_logit_softcapping(Softcap(c, "final_logit_softcapping", d.final_logit_softcapping)),
        attention_bias(c.Bool("attention_bias", false)) {
    // Old files of the first say gelu and mean this.
    if (generation == 1 && hidden_act == KEEL_ACT_GELU) hidden_act = KEEL_ACT_GELU_TANH;
    int64_t pattern = d.sliding_window_pattern;
    if (generation == 3) pattern = c.Int("sliding_window_pattern|_sliding_window_pattern", pattern);
    std::vector<std::string> types;
    if (generation > 1) types = c.Strings("layer_types");
    if (!types.empty() && types.size() != static_cast<size_t>(num_hidden_layers)) {
      c.Fail("layer_types",
             "has " + std::to_string(types.size()) + " entries, expected one a layer");
      types.clear();
    }
    for (int64_t i = 0; i < num_hidden_layers; ++i) {
      sliding.push_back(types.empty() ? pattern > 0 && (i + 1) % pattern != 0
                                      : types[static_cast<size_t>(i)] == "sliding_attention");
    }
  }

  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.embed_scale = std::sqrt(static_cast<double>(hidden_size));
    s.logit_softcap = final_logit_softcapping;
    return s;
  }
  RopeAttention::Options attention(int layer) const {
    RopeAttention::Options o{.qkv_bias = attention_bias,
                             .output_bias = attention_bias,
                             .window = sliding[static_cast<size_t>(layer)] ? sliding_window : 0,
                             .scale = 1 / std::sqrt(query_pre_attn_scalar),
                             .softcap = attn_logit_softcapping};
    if (generation == 3) o.qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps, 1, KEEL_NORM_CAST_LAST);
    return o;
  }

 private:
  // A null says that there is none.
  static double Softcap(const Config& c, const char* key, double dflt) {
    return c.IsNull(key) ? 0 : c.Real(key, dflt);
  }
};

struct GemmaRMSNorm : RmsNorm {
  GemmaRMSNorm(const Scope& s, int64_t size, double eps)
      : RmsNorm(s, size, eps, 1, KEEL_NORM_CAST_LAST) {}
  GemmaRMSNorm(const Scope& s, const GemmaConfig& c)
      : GemmaRMSNorm(s, c.hidden_size, c.rms_norm_eps) {}
};

struct GemmaRotaryEmbedding {
  Rope full;
  std::optional<Rope> sliding;  // of those layers, where they have their own
  GemmaRotaryEmbedding(const Scope& s, const GemmaConfig& c)
      : full(s, c.head_dim, c.generation == 3 ? 1000000 : 10000,
             (c.rope_params + (c.generation == 3 ? "/full_attention" : "")).c_str()) {
    if (c.generation == 3)
      sliding.emplace(s, c.head_dim, 10000, (c.rope_params + "/sliding_attention").c_str());
  }
};

struct GemmaDecoderLayer {
  bool sliding;
  RopeAttention self_attn;
  GatedMlp mlp;
  GemmaRMSNorm input_layernorm, post_attention_layernorm;
  std::optional<GemmaRMSNorm> pre_feedforward_layernorm, post_feedforward_layernorm;
  GemmaDecoderLayer(const Scope& s, const GemmaConfig& c, int layer)
      : sliding(c.sliding[static_cast<size_t>(layer)]),
        self_attn(s / "self_attn", c, layer, c.attention(layer)),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c),
        post_attention_layernorm(s / "post_attention_layernorm", c) {
    if (c.generation == 1) return;
    pre_feedforward_layernorm.emplace(s / "pre_feedforward_layernorm", c);
    post_feedforward_layernorm.emplace(s / "post_feedforward_layernorm", c);
  }
  // `groups` as the argument of attention; of no id: there are none.
  Tensor operator()(Tensor x, const GemmaRotaryEmbedding& ropes, Tensor positions,
                    Tensor groups) const {
    const Rope& rope = sliding && ropes.sliding ? *ropes.sliding : ropes.full;
    const Tensor h = input_layernorm(x);
    const Tensor attended = groups.id == 0 ? self_attn(h, rope, positions)
                                           : self_attn(h, rope, positions, {{"groups", groups}});
    if (!pre_feedforward_layernorm) {
      x = x + attended;
      return x + mlp(post_attention_layernorm(x));
    }
    x = x + post_attention_layernorm(attended);
    return x + (*post_feedforward_layernorm)(mlp((*pre_feedforward_layernorm)(x)));
  }
};

// FamilyConfig is a GemmaConfig. A model that sees has one more input of forward, "groups".
template <typename FamilyConfig>
struct GemmaDecoder {
  using ConfigType = FamilyConfig;

  GemmaRotaryEmbedding rotary_emb;
  GemmaRMSNorm norm;
  LayerList<GemmaDecoderLayer> layers;
  GemmaDecoder(const Scope& root, const GemmaConfig& c)
      : rotary_emb(root, c),
        norm(root / "model" / "norm", c),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(
        layers(in.embeds, rotary_emb, in.positions, in.extras.empty() ? Tensor{} : in.extras[0]));
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_GEMMA_H_
