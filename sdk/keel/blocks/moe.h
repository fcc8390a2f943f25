// A mixture of experts: a router over many small gated MLPs.
//
//   #include "sdk/keel/blocks/moe.h"
//   using namespace keel;
//
//   SparseMoe Declare(const Scope& layer) {
//     return SparseMoe(layer / "mlp", {.act = KEEL_ACT_SILU,
//                                      .experts = 128,
//                                      .top_k = 8,
//                                      .hidden_size = 2048,
//                                      .intermediate_size = 768,
//                                      .scoring = KEEL_MOE_SOFTMAX,
//                                      .flags = KEEL_MOE_NORM_TOPK});
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_MOE_H_
#define KEEL_SDK_KEEL_BLOCKS_MOE_H_

#include "sdk/keel/layers.h"

namespace keel {

// arXiv:1701.06538. Names as in most checkpoints: "gate" (the router), "experts.{e}.gate_proj" ...;
// the desc's own names, relative to "experts", win. x [N, hidden_size] -> the same.
struct SparseMoe {
  Linear gate;
  Moe experts;
  SparseMoe(const Scope& s, const keel_moe_desc& desc)
      : gate(s / "gate", desc.hidden_size, desc.experts), experts(s / "experts", Named(desc)) {}
  Tensor operator()(Tensor x) const { return experts(x, gate(x)); }

 private:
  static keel_moe_desc Named(keel_moe_desc desc) {
    if (desc.gate == nullptr) desc.gate = "{e}.gate_proj";
    if (desc.up == nullptr) desc.up = "{e}.up_proj";
    if (desc.down == nullptr) desc.down = "{e}.down_proj";
    return desc;
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_MOE_H_
