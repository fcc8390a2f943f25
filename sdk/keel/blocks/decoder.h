// The decoder of the Llama line: its config, and the whole model where a family differs by options.
//
//   #include "sdk/keel/blocks/decoder.h"
//   using namespace keel;
//
//   struct MyConfig : DenseConfig {  // eight heads of keys and values unless config.json says more
//     explicit MyConfig(const Config& c) : DenseConfig(c, {.num_key_value_heads = 8}) {}
//     RopeAttention::Options attention(int) const { return {.qkv_bias = true}; }
//   };
//
//   struct MyForCausalLM : DenseDecoder<MyConfig> {
//     static constexpr const char* kModelType = "my";
//     static constexpr const char* kArchitectures[] = {"MyForCausalLM"};
//     using DenseDecoder::DenseDecoder;
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_DECODER_H_
#define KEEL_SDK_KEEL_BLOCKS_DECODER_H_

#include <cstdint>

#include "sdk/keel/blocks/attention.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// What the family's configuration class in transformers has where config.json leaves a key out.
struct DenseDefaults {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0,
          num_attention_heads = 0;  // 0: config.json has to say it
  int64_t num_key_value_heads = 0;  // 0: num_attention_heads
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  const char* hidden_act_key = "hidden_act";
  const char* hidden_act = "silu";
  bool tie_word_embeddings = false;
};

// The keys that dense decoders of the Llama line have in common, under their names in config.json.
struct DenseConfig : AttentionSizes {
  int64_t intermediate_size, num_hidden_layers, vocab_size, max_position_embeddings;
  double rms_norm_eps, rope_theta;  // rope_theta: the family's default
  uint32_t hidden_act;
  bool tie_word_embeddings;

  explicit DenseConfig(const Config& c, const DenseDefaults& d = {})
      : AttentionSizes(Sizes(c, d)),
        intermediate_size(Int(c, "intermediate_size", d.intermediate_size)),
        num_hidden_layers(d.num_hidden_layers > 0
                              ? c.NumLayers("num_hidden_layers", d.num_hidden_layers)
                              : c.NumLayers("num_hidden_layers")),
        vocab_size(Int(c, "vocab_size", d.vocab_size)),
        max_position_embeddings(c.Int("max_position_embeddings", d.max_position_embeddings)),
        rms_norm_eps(c.Real("rms_norm_eps", d.rms_norm_eps)),
        rope_theta(d.rope_theta),
        hidden_act(c.Activation(d.hidden_act_key, d.hidden_act)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", d.tie_word_embeddings)) {}

  keel_rope_desc rope() const { return {.head_dim = head_dim, .theta = rope_theta}; }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings;
    s.tie_word_embeddings = tie_word_embeddings;
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"}, {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"}, {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.mlp.gate_proj", "colwise"},    {"layers.*.mlp.up_proj", "colwise"},
                 {"layers.*.mlp.down_proj", "rowwise"},    {"lm_head", "colwise_gather_output"}};
    s.pp_plan = {{"embed_tokens", {"input_ids"}, {"inputs_embeds"}},
                 {"layers", {"hidden_states", "attention_mask"}, {"hidden_states"}},
                 {"norm", {"hidden_states"}, {"hidden_states"}}};
    return s;
  }

 private:
  static int64_t Int(const Config& c, const char* key, int64_t dflt) {
    return dflt > 0 ? c.Int(key, dflt) : c.Int(key);
  }
  static AttentionSizes Sizes(const Config& c, const DenseDefaults& d) {
    AttentionSizes out{.hidden_size = Int(c, "hidden_size", d.hidden_size),
                       .num_attention_heads = Int(c, "num_attention_heads", d.num_attention_heads)};
    const int64_t heads = out.num_attention_heads;
    // A null says that keys and values have heads of their own, one for each of the queries.
    const bool of_its_own = d.num_key_value_heads == 0 || c.IsNull("num_key_value_heads");
    out.num_key_value_heads =
        c.Int("num_key_value_heads", of_its_own ? heads : d.num_key_value_heads);
    const int64_t equal_parts = heads > 0 ? out.hidden_size / heads : 0;
    out.head_dim = c.Int("head_dim", d.head_dim > 0 ? d.head_dim : equal_parts);
    return out;
  }
};

// A pre-norm layer of RopeAttention and GatedMlp.
struct DenseLayer {
  RopeAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  template <typename FamilyConfig>
  DenseLayer(const Scope& s, const FamilyConfig& c, int index)
      : self_attn(s / "self_attn", c, index, c.attention(index)),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

// A decoder of such layers, or of a family's own. FamilyConfig is a DenseConfig with
// `RopeAttention::Options attention(int layer) const`, and rope() and spec() of its own where it
// differs; Layer(scope, config, index) has `Tensor operator()(Tensor, const Rope&, Tensor) const`.
template <typename FamilyConfig, typename Layer = DenseLayer>
struct DenseDecoder {
  using ConfigType = FamilyConfig;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<Layer> layers;
  DenseDecoder(const Scope& root, const FamilyConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_DECODER_H_
