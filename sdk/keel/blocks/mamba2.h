// The mixer of Mamba-2 (arXiv:2405.21060), as in transformers' models/mamba2/modeling_mamba2.py: no
// attention, no positions. What a sequence carries is the last inputs of a convolution and the
// state of each head.
//
//   #include "sdk/keel/blocks/mamba2.h"
//   using namespace keel;
//
//   Mamba2Mixer Declare(const Scope& layer, int index) {
//     return Mamba2Mixer(layer / "mixer",
//                        {.hidden_size = 768,
//                         .num_heads = 24,
//                         .head_dim = 64,
//                         .n_groups = 1,
//                         .state_size = 128,
//                         .conv_kernel = 4,
//                         .norm_eps = 1e-5,
//                         .time_step_max = INFINITY,
//                         .hidden_act = KEEL_ACT_SILU,
//                         .conv_bias = true},
//                        index);
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_MAMBA2_H_
#define KEEL_SDK_KEEL_BLOCKS_MAMBA2_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/layers.h"

namespace keel {

// An RMSNorm of x * silu(gate), each group by itself, in fp32; the product with the weight is in
// the type of the model.
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

// x [N, hidden_size] -> the same.
struct Mamba2Mixer {
  struct Options {
    int64_t hidden_size = 0, num_heads = 0, head_dim = 0, n_groups = 1, state_size = 0;
    int64_t conv_kernel = 4;  // tokens that the convolution sees
    double norm_eps = 1e-5;
    double time_step_min = 0, time_step_max = INFINITY;  // limits of the time step
    uint32_t hidden_act = KEEL_ACT_SILU;
    bool proj_bias = false, conv_bias = true;
    int64_t intermediate_size() const { return num_heads * head_dim; }
    int64_t conv_dim() const { return intermediate_size() + 2 * n_groups * state_size; }
  };

  Options o;
  Linear in_proj, out_proj;
  CausalConv1d conv1d;
  Param A_log, D, dt_bias;
  State ssm_state;
  MambaRMSNormGated norm;
  Mamba2Mixer(const Scope& s, const Options& o, int layer)
      : o(o),
        in_proj(s / "in_proj", o.hidden_size, o.intermediate_size() + o.conv_dim() + o.num_heads,
                o.proj_bias),
        out_proj(s / "out_proj", o.intermediate_size(), o.hidden_size, o.proj_bias),
        conv1d(s / "conv1d", o.conv_dim(), o.conv_kernel, layer, o.conv_bias),
        A_log(s / "A_log", {o.num_heads}, KEEL_F32),
        D(s / "D", {o.num_heads}, KEEL_F32),
        dt_bias(s / "dt_bias", {o.num_heads}, KEEL_F32),
        ssm_state(s / "ssm_state", {.kind = KEEL_STATE_SSM,
                                    .layer = layer,
                                    .ndim = 3,
                                    .dtype = KEEL_F32,
                                    .dims = {o.num_heads, o.head_dim, o.state_size}}),
        norm(s / "norm", o.intermediate_size(),
             o.intermediate_size() / std::max<int64_t>(o.n_groups, 1), o.norm_eps) {}
  Tensor operator()(Tensor hidden_states) const {
    keel_run* run = hidden_states.run;
    const std::vector<Tensor> projected =
        in_proj(hidden_states).Split({o.intermediate_size(), o.conv_dim(), o.num_heads});
    const Tensor gate = projected[0], dt = projected[2];

    const int64_t groups_size = o.n_groups * o.state_size;
    const std::vector<Tensor> x_B_C = conv1d(projected[1])
                                          .Act(o.hidden_act)
                                          .Split({o.intermediate_size(), groups_size, groups_size});

    const Tensor A = A_log(run).Unary(KEEL_UNARY_EXP) * -1;
    const Tensor y = ssm_state(KEEL_RECUR_SSD, x_B_C[0].Heads(o.head_dim),
                               {{"dt", dt},
                                {"A", A},
                                {"B", x_B_C[1].View({0, o.n_groups, o.state_size})},
                                {"C", x_B_C[2].View({0, o.n_groups, o.state_size})},
                                {"D", D(run)},
                                {"dt_bias", dt_bias(run)},
                                {"dt_min", o.time_step_min},
                                {"dt_max", o.time_step_max}});
    return out_proj(norm(y.Flat(), gate));
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_MAMBA2_H_
