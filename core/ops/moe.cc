#include "core/ops/moe.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include <iterator>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "core/ops/activation.h"
#include "core/ops/indices.h"
#include "core/ops/invariant.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

// Scores of the groups that are not among the best become -inf (DeepSeek-V3: a group's score is the
// sum of its two best; with softmax scores, DeepSeek-V2: its best).
at::Tensor KeepTopGroups(const proto::Moe& moe, const at::Tensor& scores) {
  const int64_t tokens = scores.size(0), groups = moe.groups();
  TORCH_CHECK(scores.size(1) % groups == 0, scores.size(1), " experts in ", groups, " groups");
  const at::Tensor grouped = scores.view({tokens, groups, -1});
  const int64_t best = moe.scoring() == KEEL_MOE_SIGMOID ? 2 : 1;
  const at::Tensor group_scores = std::get<0>(at::topk(grouped, best, -1)).sum(-1);
  const at::Tensor chosen = std::get<1>(at::topk(group_scores, moe.top_groups(), -1));
  const at::Tensor keep =
      at::zeros_like(group_scores).scatter(1, chosen, 1.0).unsqueeze(2).expand_as(grouped).ne(0);
  return grouped.masked_fill(keep.logical_not(), -std::numeric_limits<double>::infinity())
      .view_as(scores);
}

at::Tensor RunMlp(const proto::Moe& moe, const ExpertWeights::Mlp& mlp, const at::Tensor& x,
                  Numerics numerics) {
  const auto act = [&](const at::Tensor& y) {
    return ByElement(numerics, y, [&](const at::Tensor& z) { return Activation(z, moe.act()); });
  };
  at::Tensor up = mlp.up->Apply(x);
  if (mlp.gate == nullptr) return mlp.down->Apply(act(up));
  at::Tensor gate = mlp.gate->Apply(x);
  if (moe.limit() > 0) {
    gate = at::clamp_max(gate, moe.limit());
    up = at::clamp(up, -moe.limit(), moe.limit());
  }
  if (moe.up_offset() != 0) up = up + moe.up_offset();
  return mlp.down->Apply(act(gate) * up);
}

Routing Route(const proto::Moe& moe, const at::Tensor& score_bias, const at::Tensor& logits) {
  const at::Tensor x = logits.to(at::kFloat);
  Routing routing;
  if (moe.scoring() == KEEL_MOE_TOPK_SOFTMAX) {
    const auto [values, experts] = at::topk(x, moe.top_k(), -1);
    routing = {experts, at::softmax(values, -1)};
  } else {
    TORCH_CHECK(moe.scoring() == KEEL_MOE_SOFTMAX || moe.scoring() == KEEL_MOE_SIGMOID, "scoring ",
                moe.scoring(), " is not known");
    const at::Tensor scores =
        moe.scoring() == KEEL_MOE_SIGMOID ? at::sigmoid(x) : at::softmax(x, -1);
    // The bias has a say in the choice only.
    at::Tensor choice = score_bias.defined() ? scores + score_bias : scores;
    if (moe.groups() > 1) choice = KeepTopGroups(moe, choice);
    const at::Tensor experts = std::get<1>(at::topk(choice, moe.top_k(), -1));
    routing = {experts, scores.gather(1, experts)};
  }
  if (moe.norm_topk()) {
    at::Tensor sum = routing.weights.sum(-1, /*keepdim=*/true);
    if (moe.scoring() == KEEL_MOE_SIGMOID) sum = sum + 1e-20;
    routing.weights = routing.weights / sum;
  }
  if (moe.routed_scale() != 0 && moe.routed_scale() != 1) {
    routing.weights = routing.weights * moe.routed_scale();
  }
  return routing;
}

}  // namespace

Routing RouteTokens(const proto::Moe& moe, const at::Tensor& score_bias, const at::Tensor& logits,
                    Numerics numerics) {
  TORCH_CHECK(logits.dim() == 2 && logits.size(1) == moe.experts(), "router logits are ",
              logits.sizes(), ", expected [N, ", moe.experts(), "]");
  if (numerics == Numerics::kFastest) return Route(moe, score_bias, logits);
  std::vector<at::Tensor> experts, expert_weights;
  for (int64_t i = 0; i < logits.size(0); ++i) {
    Routing one = Route(moe, score_bias, logits.narrow(0, i, 1));
    experts.push_back(std::move(one.experts));
    expert_weights.push_back(std::move(one.weights));
  }
  return {at::cat(experts), at::cat(expert_weights)};
}

at::Tensor RunExperts(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                      const Routing& routing, Numerics numerics) {
  TORCH_CHECK(x.dim() == 2 && routing.experts.dim() == 2 && routing.experts.size(0) == x.size(0) &&
                  routing.weights.sizes() == routing.experts.sizes(),
              "moe of ", x.sizes(), " with expert ids ", routing.experts.sizes(), " and weights ",
              routing.weights.sizes());
  const int64_t k = routing.experts.size(1), pairs = routing.experts.numel();
  const at::Tensor flat =
      ClampedIndices(routing.experts.reshape({pairs}), std::ssize(weights.experts));
  const auto [sorted, order] = at::sort(flat, /*stable=*/true, 0, false);
  const at::Tensor tokens = at::floor_divide(order, k);
  const at::Tensor pair_weights =
      routing.weights.reshape({pairs}).index_select(0, order).to(x.scalar_type()).unsqueeze(1);
  const int64_t* expert = sorted.const_data_ptr<int64_t>();
  at::Tensor out = at::zeros_like(x);
  for (int64_t begin = 0; begin < pairs;) {
    int64_t end = begin + 1;
    while (end < pairs && expert[end] == expert[begin]) ++end;
    if (weights.experts[expert[begin]].up == nullptr) {  // another rank's
      begin = end;
      continue;
    }
    const at::Tensor rows = tokens.narrow(0, begin, end - begin);
    const at::Tensor y =
        RunMlp(moe, weights.experts[expert[begin]], at::index_select(x, 0, rows), numerics);
    out.index_add_(0, rows, y * pair_weights.narrow(0, begin, end - begin));
    begin = end;
  }
  return out;
}

}  // namespace keel
