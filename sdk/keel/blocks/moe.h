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

#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// The rules of a mixture in all sparse layers' "mlp", for tensor and for expert parallelism. A model
// without a sparse layer leaves them out: each must match something.
inline void PlanExperts(Spec& s) {
  s.tp_plan.insert(s.tp_plan.end(), {{"layers.*.mlp.experts", "moe_tp_experts"},
                                     {"layers.*.mlp.experts.gate_up_proj", "packed_colwise"},
                                     {"layers.*.mlp.experts.down_proj", "rowwise"}});
  s.ep_plan.insert(s.ep_plan.end(), {{"layers.*.mlp.experts.gate_up_proj", "grouped_gemm"},
                                     {"layers.*.mlp.experts.down_proj", "grouped_gemm"},
                                     {"layers.*.mlp.experts", "ep_dispatch_experts"}});
}

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
