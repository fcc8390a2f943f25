// Mixture of experts: routing and the experts' MLPs.
#ifndef KEEL_CORE_OPS_MOE_H_
#define KEEL_CORE_OPS_MOE_H_

#include <ATen/core/Tensor.h>

#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/weights/weights.h"

namespace keel {

struct Routing {
  at::Tensor experts;  // [N, top_k] i64
  at::Tensor weights;  // [N, top_k] f32
};

// Chooses experts by the declaration's scoring; logits are [N, experts], `score_bias` is [experts] or
// undefined. Throws c10::Error.
Routing RouteTokens(const proto::Moe& moe, const at::Tensor& score_bias, const at::Tensor& logits,
                    Numerics numerics);

// sum over the chosen experts of weight * down(act(gate(x)) * up(x)); x [N, hidden_size]. Tokens
// are sorted by expert, so that each expert runs once and a token's sum goes by rising expert. Throws
// c10::Error.
at::Tensor RunExperts(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                      const Routing& routing, Numerics numerics);

}  // namespace keel

#endif  // KEEL_CORE_OPS_MOE_H_
