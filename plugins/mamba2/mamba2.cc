// Mamba-2 (arXiv:2405.21060), as in transformers' models/mamba2/modeling_mamba2.py: no attention, no positions; what a
// sequence carries is the last inputs of a convolution and the state of each head.
#include <cmath>

#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Mamba2Config {
  int64_t hidden_size, num_hidden_layers, vocab_size, num_heads, head_dim, state_size, n_groups,
      conv_kernel, intermediate_size;
  double layer_norm_epsilon, time_step_min, time_step_max;
  uint32_t hidden_act;
  bool use_bias, use_conv_bias, residual_in_fp32, tie_word_embeddings;
  explicit Mamba2Config(const Config& c)
      : hidden_size(c.Int("hidden_size", 4096)),
        num_hidden_layers(c.Int("num_hidden_layers", 64)),
        vocab_size(c.Int("vocab_size", 32768)),
        num_heads(c.Int("num_heads", 128)),
        head_dim(c.Int("head_dim", 64)),
        state_size(c.Int("state_size", 128)),
        n_groups(c.Int("n_groups", 8)),
        conv_kernel(c.Int("conv_kernel", 4)),
        intermediate_size(num_heads * head_dim),
        layer_norm_epsilon(c.Real("layer_norm_epsilon", 1e-5)),
        time_step_min(c.Real("time_step_limit/0", 0)),
        time_step_max(c.Real("time_step_limit/1", INFINITY)),
        hidden_act(c.Activation("hidden_act", "silu")),
        use_bias(c.Bool("use_bias", false)),
        use_conv_bias(c.Bool("use_conv_bias", true)),
        residual_in_fp32(c.Bool("residual_in_fp32", true)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", false)) {
    const double expanded = c.Real("expand", 2) * static_cast<double>(hidden_size);
    if (expanded != static_cast<double>(intermediate_size))
      c.Fail("expand",
             "times hidden_size is " + std::to_string(expanded) +
                 ", expected num_heads * head_dim = " + std::to_string(intermediate_size));
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.tie_word_embeddings = tie_word_embeddings;
    s.base_model_prefix = "backbone";
    s.embed_tokens = "backbone.embeddings";
    s.renames = {{.from = {"backbone\\.embedding\\.(.*)"}, .to = {"backbone.embeddings.\\1"}}};
    return s;
  }
};

// An RMSNorm of x * silu(gate), each group by itself, in fp32; the product with the weight is in the type of the model.
struct MambaRMSNormGated {
  int64_t group_size;
  Norm norm;
  Param weight;
  MambaRMSNormGated(const Scope& s, int64_t size, int64_t group_size, double eps)
      : group_size(group_size),
        norm(s,
             {.kind = KEEL_NORM_RMS, .size = group_size, .eps = eps, .flags = KEEL_NORM_NO_WEIGHT}),
        weight(s / "weight", {size}) {}
  Tensor operator()(Tensor x, Tensor gate) const {
    const Tensor gated = ActMul(gate.Cast(KEEL_F32), x.Cast(KEEL_F32), KEEL_ACT_SILU);
    return weight(x.run) * norm(gated.Heads(group_size)).Flat().Cast(KEEL_DTYPE_MODEL);
  }
};

struct Mamba2Mixer {
  Mamba2Config c;
  int64_t conv_dim;
  Linear in_proj, out_proj;
  CausalConv1d conv1d;
  Param A_log, D, dt_bias;
  State ssm_state;
  MambaRMSNormGated norm;
  Mamba2Mixer(const Scope& s, const Mamba2Config& c, int layer)
      : c(c),
        conv_dim(c.intermediate_size + 2 * c.n_groups * c.state_size),
        in_proj(s / "in_proj", c.hidden_size, c.intermediate_size + conv_dim + c.num_heads,
                c.use_bias),
        out_proj(s / "out_proj", c.intermediate_size, c.hidden_size, c.use_bias),
        conv1d(s / "conv1d", conv_dim, c.conv_kernel, layer, c.use_conv_bias),
        A_log(s / "A_log", {c.num_heads}, KEEL_F32),
        D(s / "D", {c.num_heads}, KEEL_F32),
        dt_bias(s / "dt_bias", {c.num_heads}, KEEL_F32),
        ssm_state(s / "ssm_state", {.kind = KEEL_STATE_SSM,
                                    .layer = layer,
                                    .ndim = 3,
                                    .dtype = KEEL_F32,
                                    .dims = {c.num_heads, c.head_dim, c.state_size}}),
        norm(s / "norm", c.intermediate_size, c.intermediate_size / c.n_groups,
             c.layer_norm_epsilon) {}
  Tensor operator()(Tensor hidden_states) const {
    keel_run* run = hidden_states.run;
    const std::vector<Tensor> projected =
        in_proj(hidden_states).Split({c.intermediate_size, conv_dim, c.num_heads});
    const Tensor gate = projected[0], dt = projected[2];

    const int64_t groups_size = c.n_groups * c.state_size;
    const std::vector<Tensor> x_B_C = conv1d(projected[1])
                                          .Act(c.hidden_act)
                                          .Split({c.intermediate_size, groups_size, groups_size});

    const Tensor A = A_log(run).Unary(KEEL_UNARY_EXP) * -1;
    const Tensor y = ssm_state(KEEL_RECUR_SSD, x_B_C[0].Heads(c.head_dim),
                               {{"dt", dt},
                                {"A", A},
                                {"B", x_B_C[1].View({0, c.n_groups, c.state_size})},
                                {"C", x_B_C[2].View({0, c.n_groups, c.state_size})},
                                {"D", D(run)},
                                {"dt_bias", dt_bias(run)},
                                {"dt_min", c.time_step_min},
                                {"dt_max", c.time_step_max}});
    return out_proj(norm(y.Flat(), gate));
  }
};

struct Mamba2Block {
  RmsNorm norm;
  Mamba2Mixer mixer;
  Mamba2Block(const Scope& s, const Mamba2Config& c, int layer)
      : norm(s / "norm", c.hidden_size, c.layer_norm_epsilon), mixer(s / "mixer", c, layer) {}
  Tensor operator()(Tensor x, uint32_t residual) const {
    return x.Cast(residual) + mixer(norm(x.Cast(KEEL_DTYPE_MODEL))).Cast(residual);
  }
};

struct Mamba2ForCausalLM {
  static constexpr const char* kModelType = "mamba2";
  static constexpr const char* kArchitectures[] = {"Mamba2ForCausalLM"};
  using ConfigType = Mamba2Config;

  uint32_t residual;  // type of the residual stream
  std::vector<Mamba2Block> layers;
  RmsNorm norm_f;
  Mamba2ForCausalLM(const Scope& root, const Mamba2Config& c)
      : residual(c.residual_in_fp32 ? KEEL_F32 : KEEL_DTYPE_MODEL),
        norm_f(root / "backbone" / "norm_f", c.hidden_size, c.layer_norm_epsilon) {
    for (int i = 0; i < c.num_hidden_layers; ++i)
      layers.emplace_back(root / "backbone" / "layers" / i, c, i);
  }
  Tensor Forward(const Inputs& in) const {
    Tensor x = in.embeds;
    for (int i = 0; i < static_cast<int>(layers.size()); ++i) {
      const LayerMark mark(in.run, i);
      x = layers[i](x, residual);
    }
    return norm_f(x).Cast(KEEL_DTYPE_MODEL);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mamba2", "0.1.0", keel::Mamba2ForCausalLM);
