// Mixture of experts: routing and the experts' MLPs.
#ifndef KEEL_CORE_OPS_MOE_H_
#define KEEL_CORE_OPS_MOE_H_

#include <ATen/core/Tensor.h>

#include <optional>

#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/kernels/packed_experts.h"
#include "core/kernels/router.h"
#include "core/weights/weights.h"

namespace keel {

struct Routing {
  at::Tensor experts;  // [N, top_k] i64
  at::Tensor weights;  // [N, top_k], of any float type
};

// Chooses experts by the declaration's scoring, each row by itself; logits are [N, experts], `score_bias` is f32
// [experts] or undefined. Throws c10::Error.
Routing RouteTokens(const proto::Moe& moe, const at::Tensor& score_bias, const at::Tensor& logits);

// sum over the chosen experts of weight * down(act(gate(x)) * up(x)); x [N, hidden_size]. Tokens
// are sorted by expert, so that each expert runs once and a token's sum goes by rising expert. Throws
// c10::Error.
at::Tensor RunExperts(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                      const Routing& routing, Numerics numerics);

// The same for who calls kernels without tensors. `score_bias` and `weights` must outlive the results.
Router RouterOf(const proto::Moe& moe, const at::Tensor& score_bias);
// nullopt: this rank has no experts, or they are not packed for x of that type.
std::optional<PackedExperts> PackedExpertsOf(const proto::Moe& moe, const ExpertWeights& weights,
                                             at::ScalarType type);

}  // namespace keel

#endif  // KEEL_CORE_OPS_MOE_H_
