// The model around a Mamba mixer: its config, its blocks, its stream of residuals.
//
//   #include "sdk/keel/blocks/mamba.h"
//   using namespace keel;
//
//   struct MyConfig : MambaModelConfig {
//     explicit MyConfig(const Config& c) : MambaModelConfig(c, {.hidden_size = 1024}) {}
//   };
//
//   struct MyMixer {
//     Linear in_proj, out_proj;
//     MyMixer(const Scope& s, const MyConfig& c, int)
//         : in_proj(s / "in_proj", c.hidden_size, 64), out_proj(s / "out_proj", 64, c.hidden_size) {}
//     Tensor operator()(Tensor x) const { return out_proj(in_proj(x).Act(KEEL_ACT_SILU)); }
//   };
//
//   struct MyForCausalLM : MambaModel<MyConfig, MyMixer> {
//     static constexpr const char* kModelType = "my";
//     static constexpr const char* kArchitectures[] = {"MyForCausalLM"};
//     using MambaModel::MambaModel;
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_MAMBA_H_
#define KEEL_SDK_KEEL_BLOCKS_MAMBA_H_

#include <cstdint>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// What the family's configuration class in transformers has where config.json leaves a key out.
struct MambaDefaults {
  int64_t num_hidden_layers = 32, vocab_size = 50280, hidden_size = 768;
  bool tie_word_embeddings = true;
};

// The keys that the families have in common, under their names in config.json.
struct MambaModelConfig {
  int64_t num_hidden_layers, vocab_size, hidden_size;
  double layer_norm_epsilon;
  bool residual_in_fp32, tie_word_embeddings;

  explicit MambaModelConfig(const Config& c, const MambaDefaults& d = {})
      : num_hidden_layers(c.Int("num_hidden_layers", d.num_hidden_layers)),
        vocab_size(c.Int("vocab_size", d.vocab_size)),
        hidden_size(c.Int("hidden_size", d.hidden_size)),
        layer_norm_epsilon(c.Real("layer_norm_epsilon", 1e-5)),
        residual_in_fp32(c.Bool("residual_in_fp32", true)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", d.tie_word_embeddings)) {}

  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.tie_word_embeddings = tie_word_embeddings;
    s.base_model_prefix = "backbone";
    s.embed_tokens = "backbone.embeddings";
    s.pp_plan = {{"embeddings", {"input_ids"}, {"inputs_embeds"}},
                 {"layers", {"hidden_states"}, {"hidden_states"}},
                 {"norm_f", {"hidden_states"}, {"hidden_states"}}};
    s.renames = {{.from = {"backbone\\.embedding\\.(.*)"}, .to = {"backbone.embeddings.\\1"}}};
    return s;
  }
};

// Adds what a mixer makes of the normed stream, whose type is `residual`.
template <typename Mixer>
struct MambaBlock {
  RmsNorm norm;
  Mixer mixer;
  template <typename FamilyConfig>
  MambaBlock(const Scope& s, const FamilyConfig& c, int layer)
      : norm(s / "norm", c.hidden_size, c.layer_norm_epsilon), mixer(s / "mixer", c, layer) {}
  Tensor operator()(Tensor x, uint32_t residual) const {
    return x.Cast(residual) + mixer(norm(x.Cast(KEEL_DTYPE_MODEL))).Cast(residual);
  }
};

// FamilyConfig is a MambaModelConfig; Mixer(scope, config, layer) has `Tensor operator()(Tensor) const`.
template <typename FamilyConfig, typename Mixer>
struct MambaModel {
  using ConfigType = FamilyConfig;

  uint32_t residual;  // type of the residual stream
  RmsNorm norm_f;
  LayerList<MambaBlock<Mixer>> layers;
  MambaModel(const Scope& root, const FamilyConfig& c)
      : residual(c.residual_in_fp32 ? KEEL_F32 : KEEL_DTYPE_MODEL),
        norm_f(root / "backbone" / "norm_f", c.hidden_size, c.layer_norm_epsilon),
        layers(root / "backbone" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm_f(layers(in.embeds, residual)).Cast(KEEL_DTYPE_MODEL);
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_MAMBA_H_
