// Mamba-2 (arXiv:2405.21060), as in transformers' models/mamba2/modeling_mamba2.py.
#include "sdk/keel/blocks/mamba2.h"

#include <cmath>

#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Mamba2Config {
  int64_t num_hidden_layers, vocab_size;
  Mamba2Mixer::Options mixer;
  bool residual_in_fp32, tie_word_embeddings;
  explicit Mamba2Config(const Config& c)
      : num_hidden_layers(c.Int("num_hidden_layers", 64)),
        vocab_size(c.Int("vocab_size", 32768)),
        mixer{.hidden_size = c.Int("hidden_size", 4096),
              .num_heads = c.Int("num_heads", 128),
              .head_dim = c.Int("head_dim", 64),
              .n_groups = c.Int("n_groups", 8),
              .state_size = c.Int("state_size", 128),
              .conv_kernel = c.Int("conv_kernel", 4),
              .norm_eps = c.Real("layer_norm_epsilon", 1e-5),
              .time_step_min = c.Real("time_step_limit/0", 0),
              .time_step_max = c.Real("time_step_limit/1", INFINITY),
              .hidden_act = c.Activation("hidden_act", "silu"),
              .proj_bias = c.Bool("use_bias", false),
              .conv_bias = c.Bool("use_conv_bias", true)},
        residual_in_fp32(c.Bool("residual_in_fp32", true)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", false)) {
    const double expanded = c.Real("expand", 2) * static_cast<double>(mixer.hidden_size);
    if (expanded != static_cast<double>(mixer.intermediate_size()))
      c.Fail("expand",
             "times hidden_size is " + std::to_string(expanded) +
                 ", expected num_heads * head_dim = " + std::to_string(mixer.intermediate_size()));
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = mixer.hidden_size;
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

struct Mamba2Block {
  RmsNorm norm;
  Mamba2Mixer mixer;
  Mamba2Block(const Scope& s, const Mamba2Config& c, int layer)
      : norm(s / "norm", c.mixer.hidden_size, c.mixer.norm_eps),
        mixer(s / "mixer", c.mixer, layer) {}
  Tensor operator()(Tensor x, uint32_t residual) const {
    return x.Cast(residual) + mixer(norm(x.Cast(KEEL_DTYPE_MODEL))).Cast(residual);
  }
};

struct Mamba2ForCausalLM {
  static constexpr const char* kModelType = "mamba2";
  static constexpr const char* kArchitectures[] = {"Mamba2ForCausalLM"};
  using ConfigType = Mamba2Config;

  uint32_t residual;  // type of the residual stream
  RmsNorm norm_f;
  LayerList<Mamba2Block> layers;
  Mamba2ForCausalLM(const Scope& root, const Mamba2Config& c)
      : residual(c.residual_in_fp32 ? KEEL_F32 : KEEL_DTYPE_MODEL),
        norm_f(root / "backbone" / "norm_f", c.mixer.hidden_size, c.mixer.norm_eps),
        layers(root / "backbone" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm_f(layers(in.embeds, residual)).Cast(KEEL_DTYPE_MODEL);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mamba2", "0.1.0", keel::Mamba2ForCausalLM);
