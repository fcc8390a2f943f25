// The gated MLP of most decoders.
//
//   #include "sdk/keel/blocks/mlp.h"
//   using namespace keel;
//
//   Tensor Run(const Scope& layer, Tensor x) {
//     return GatedMlp(layer / "mlp", 64, 96, KEEL_ACT_SILU)(x);  // in a model, a member
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_MLP_H_
#define KEEL_SDK_KEEL_BLOCKS_MLP_H_

#include <cstdint>

#include "sdk/keel/layers.h"

namespace keel {

// down(act(gate(x)) * up(x)), arXiv:2002.05202. x [N, hidden_size] -> the same.
struct GatedMlp {
  Linear gate_proj, up_proj, down_proj;
  uint32_t act;
  GatedMlp(const Scope& s, int64_t hidden_size, int64_t intermediate_size, uint32_t act,
           bool bias = false)
      : gate_proj(s / "gate_proj", hidden_size, intermediate_size, bias),
        up_proj(s / "up_proj", hidden_size, intermediate_size, bias),
        down_proj(s / "down_proj", intermediate_size, hidden_size, bias),
        act(act) {}
  Tensor operator()(Tensor x) const { return down_proj(ActMul(gate_proj(x), up_proj(x), act)); }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_MLP_H_
