// Mamba (arXiv:2312.00752), as in transformers' models/mamba/modeling_mamba.py: no attention, no positions.
#include "sdk/keel/blocks/mamba.h"

#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct MambaConfig : MambaModelConfig {
  int64_t intermediate_size, state_size, conv_kernel, time_step_rank;
  uint32_t hidden_act;
  bool use_bias, use_conv_bias;
  explicit MambaConfig(const Config& c)
      : MambaModelConfig(c),
        intermediate_size(c.Int("expand", 2) * hidden_size),
        state_size(c.Int("state_size", 16)),
        conv_kernel(c.Int("conv_kernel", 4)),
        time_step_rank((hidden_size + 15) / 16),
        hidden_act(c.Activation("hidden_act", "silu")),
        use_bias(c.Bool("use_bias", false)),
        use_conv_bias(c.Bool("use_conv_bias", true)) {
    if (!c.IsString("time_step_rank")) {
      time_step_rank = c.Int("time_step_rank", time_step_rank);
    } else if (c.String("time_step_rank", "") != "auto") {
      c.Fail("time_step_rank", "is neither a number nor 'auto'");
    }
  }
  Spec spec() const {
    Spec s = MambaModelConfig::spec();
    // transformers has no plan. By channels, for which the two halves of in_proj go apart.
    s.tp_plan = {
        {"layers.*.mixer.in_proj_x", "colwise"},     {"layers.*.mixer.in_proj_z", "colwise"},
        {"layers.*.mixer.conv1d.weight", "colwise"}, {"layers.*.mixer.x_proj", "rowwise"},
        {"layers.*.mixer.dt_proj", "colwise"},       {"layers.*.mixer.dt_proj.bias", "colwise"},
        {"layers.*.mixer.A_log", "colwise"},         {"layers.*.mixer.D", "colwise"},
        {"layers.*.mixer.out_proj", "rowwise"}};
    if (use_conv_bias) s.tp_plan.push_back({"layers.*.mixer.conv1d.bias", "colwise"});
    s.renames.push_back({.op = KEEL_RENAME_SPLIT,
                         .from = {"(.*\\.in_proj)\\.(weight|bias)"},
                         .to = {"\\1_x.\\2", "\\1_z.\\2"}});
    return s;
  }
};

struct MambaMixer {
  int64_t time_step_rank, state_size;
  uint32_t act;
  Linear in_proj_x, in_proj_z, x_proj, dt_proj, out_proj;
  CausalConv1d conv1d;
  Param dt_bias;  // dt_proj.bias, which is added in fp32
  Param A_log, D;
  State ssm_state;
  MambaMixer(const Scope& s, const MambaConfig& c, int layer)
      : time_step_rank(c.time_step_rank),
        state_size(c.state_size),
        act(c.hidden_act),
        in_proj_x(s / "in_proj_x", c.hidden_size, c.intermediate_size, c.use_bias),
        in_proj_z(s / "in_proj_z", c.hidden_size, c.intermediate_size, c.use_bias),
        x_proj(s / "x_proj", c.intermediate_size, c.time_step_rank + 2 * c.state_size),
        dt_proj(s / "dt_proj", c.time_step_rank, c.intermediate_size),
        out_proj(s / "out_proj", c.intermediate_size, c.hidden_size, c.use_bias),
        conv1d(s / "conv1d", c.intermediate_size, c.conv_kernel, layer, c.use_conv_bias),
        dt_bias(s / "dt_proj" / "bias", {c.intermediate_size}, KEEL_F32),
        A_log(s / "A_log", {c.intermediate_size, c.state_size}, KEEL_F32),
        D(s / "D", {c.intermediate_size}, KEEL_F32),
        ssm_state(s / "ssm_state", {.kind = KEEL_STATE_SSM,
                                    .layer = layer,
                                    .ndim = 2,
                                    .dtype = KEEL_F32,
                                    .dims = {c.intermediate_size, c.state_size}}) {}
  Tensor operator()(Tensor hidden_states) const {
    const Tensor x = conv1d(in_proj_x(hidden_states)).Act(act), gate = in_proj_z(hidden_states);
    const std::vector<Tensor> dt_B_C = x_proj(x).Split({time_step_rank, state_size, state_size});
    const Tensor A = A_log(x.run).Unary(KEEL_UNARY_EXP) * -1;
    const Tensor y = ssm_state(KEEL_RECUR_SELECTIVE_SCAN, x,
                               {{"dt", dt_proj(dt_B_C[0])},
                                {"A", A},
                                {"B", dt_B_C[1]},
                                {"C", dt_B_C[2]},
                                {"D", D(x.run)},
                                {"dt_bias", dt_bias(x.run)}});
    return out_proj(ActMul(gate, y, KEEL_ACT_SILU));
  }
};

struct MambaForCausalLM : MambaModel<MambaConfig, MambaMixer> {
  static constexpr const char* kModelType = "mamba";
  static constexpr const char* kArchitectures[] = {"MambaForCausalLM"};
  using MambaModel::MambaModel;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mamba", "0.1.0", keel::MambaForCausalLM);
