// Mamba-2 (arXiv:2405.21060), as in transformers' models/mamba2/modeling_mamba2.py.
#include "sdk/keel/blocks/mamba2.h"

#include <cmath>
#include <string>

#include "sdk/keel/blocks/mamba.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Mamba2Config : MambaModelConfig {
  Mamba2Mixer::Options mixer;
  explicit Mamba2Config(const Config& c)
      : MambaModelConfig(c, {.num_hidden_layers = 64,
                             .vocab_size = 32768,
                             .hidden_size = 4096,
                             .tie_word_embeddings = false}),
        mixer{.hidden_size = hidden_size,
              .num_heads = c.Int("num_heads", 128),
              .head_dim = c.Int("head_dim", 64),
              .n_groups = c.Int("n_groups", 8),
              .state_size = c.Int("state_size", 128),
              .conv_kernel = c.Int("conv_kernel", 4),
              .norm_eps = layer_norm_epsilon,
              .time_step_min = c.Real("time_step_limit/0", 0),
              .time_step_max = c.Real("time_step_limit/1", INFINITY),
              .hidden_act = c.Activation("hidden_act", "silu"),
              .proj_bias = c.Bool("use_bias", false),
              .conv_bias = c.Bool("use_conv_bias", true)} {
    const double expanded = c.Real("expand", 2) * static_cast<double>(hidden_size);
    if (expanded != static_cast<double>(mixer.intermediate_size()))
      c.Fail("expand",
             "times hidden_size is " + std::to_string(expanded) +
                 ", expected num_heads * head_dim = " + std::to_string(mixer.intermediate_size()));
  }
};

struct Mixer : Mamba2Mixer {
  Mixer(const Scope& s, const Mamba2Config& c, int layer) : Mamba2Mixer(s, c.mixer, layer) {}
};

struct Mamba2ForCausalLM : MambaModel<Mamba2Config, Mixer> {
  static constexpr const char* kModelType = "mamba2";
  static constexpr const char* kArchitectures[] = {"Mamba2ForCausalLM"};
  using MambaModel::MambaModel;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mamba2", "0.1.0", keel::Mamba2ForCausalLM);
