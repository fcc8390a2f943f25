#include "core/ops/moe.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include <iterator>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "core/kernels/kernel_type.h"
#include "core/kernels/packed_group.h"
#include "core/kernels/weighted_rows.h"
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

// act(gate) * up; act(up) where `gate` is undefined.
at::Tensor Gated(const proto::Moe& moe, at::Tensor gate, at::Tensor up, Numerics numerics) {
  const auto act = [&](const at::Tensor& y) {
    return ByElement(numerics, y, [&](const at::Tensor& z) { return Activation(z, moe.act()); });
  };
  if (!gate.defined()) return act(up);
  if (moe.limit() > 0) {
    gate = at::clamp_max(gate, moe.limit());
    up = at::clamp(up, -moe.limit(), moe.limit());
  }
  if (moe.up_offset() != 0) up = up + moe.up_offset();
  return act(gate) * up;
}

// Pairs of a token and one of its experts, by rising expert, those of one expert by rising token. Experts of other ranks
// are left out.
struct Pairs {
  struct Group {
    int64_t expert, begin, end;  // pairs [begin, end)
  };
  std::vector<Group> groups;  // of each expert that has pairs
  at::Tensor order;           // [pairs] i64: which of the routing's, as one row
  at::Tensor tokens;          // [pairs] i64

  Pairs(const ExpertWeights& weights, const Routing& routing) {
    const int64_t k = routing.experts.size(1), experts = std::ssize(weights.experts);
    const at::Tensor flat = ClampedIndices(routing.experts.reshape({-1}), experts).contiguous();
    const int64_t* expert = flat.const_data_ptr<int64_t>();
    std::vector<std::vector<int64_t>> of_expert(experts);
    for (int64_t i = 0; i < flat.numel(); ++i) of_expert[expert[i]].push_back(i);
    std::vector<int64_t> sorted;
    for (int64_t e = 0; e < experts; ++e) {
      if (of_expert[e].empty() || weights.experts[e].up == nullptr) continue;
      const int64_t begin = std::ssize(sorted);
      sorted.insert(sorted.end(), of_expert[e].begin(), of_expert[e].end());
      groups.push_back({e, begin, std::ssize(sorted)});
    }
    order = at::tensor(sorted, at::kLong);
    tokens = at::floor_divide(order, k);
  }
};

// Each token's rows of y [pairs, size], weighted, in their order.
at::Tensor SumOfExperts(const Routing& routing, const Pairs& pairs, const at::Tensor& y) {
  const int64_t n = routing.experts.size(0);
  const at::Tensor weights =
      routing.weights.reshape({-1}).index_select(0, pairs.order).to(y.scalar_type()).to(at::kFloat);
  const int64_t* token = pairs.tokens.const_data_ptr<int64_t>();
  std::vector<int64_t> first(n + 1), row_of(pairs.tokens.numel());
  std::vector<float> weight_of(row_of.size());
  for (size_t i = 0; i < row_of.size(); ++i) ++first[token[i] + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> next = first;
  for (size_t i = 0; i < row_of.size(); ++i) {
    const int64_t place = next[token[i]]++;
    row_of[place] = static_cast<int64_t>(i);
    weight_of[place] = weights.const_data_ptr<float>()[i];
  }
  const at::Tensor rows = y.contiguous();
  at::Tensor out = at::empty({n, y.size(1)}, y.options());
  WeightedRows sum;
  sum.type = *KernelTypeOf(y.scalar_type());
  sum.x = rows.const_data_ptr();
  sum.y = out.mutable_data_ptr();
  sum.first = first.data();
  sum.row_of = row_of.data();
  sum.weights = weight_of.data();
  sum.rows = n;
  sum.size = y.size(1);
  RunWeightedRows(sum);
  return out;
}

// Expert after expert; x and the result have a row a pair.
at::Tensor RunMlps(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                   const Pairs& pairs, Numerics numerics) {
  std::vector<at::Tensor> out;
  for (const Pairs::Group& group : pairs.groups) {
    const ExpertWeights::Mlp& mlp = weights.experts[group.expert];
    const at::Tensor rows = x.narrow(0, group.begin, group.end - group.begin);
    const at::Tensor gate = mlp.gate == nullptr ? at::Tensor() : mlp.gate->Apply(rows);
    out.push_back(mlp.down->Apply(Gated(moe, gate, mlp.up->Apply(rows), numerics)));
  }
  return at::cat(out);
}

// One pass over the gate and up of all experts that are asked for, one over their down.
at::Tensor RunPackedMlps(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                         const Pairs& pairs) {
  const auto call = [](const LinearWeight& linear, const Pairs::Group& group, const at::Tensor& in,
                       const at::Tensor& out) {
    PackedLinear made = *linear.packed();
    TORCH_CHECK(in.size(1) == made.k && out.size(1) == made.n &&
                    KernelTypeOf(in.scalar_type()) == made.type,
                "experts of [", made.n, ", ", made.k, "] over ", in.sizes(), " ", in.scalar_type());
    made.m = group.end - group.begin;
    made.x =
        static_cast<const char*>(in.const_data_ptr()) + group.begin * made.k * in.element_size();
    made.y = static_cast<char*>(out.mutable_data_ptr()) + group.begin * made.n * out.element_size();
    made.ldx = made.k;
    made.ldy = made.n;
    return made;
  };
  const auto make = [&](const LinearPtr& any) {
    return at::empty({x.size(0), any->packed()->n}, x.options());
  };
  const ExpertWeights::Mlp& first = weights.experts[pairs.groups[0].expert];
  const at::Tensor up = make(first.up), out = make(first.down);
  const at::Tensor gate = first.gate == nullptr ? at::Tensor() : make(first.gate);
  std::vector<PackedLinear> linears;
  for (const Pairs::Group& group : pairs.groups) {
    const ExpertWeights::Mlp& mlp = weights.experts[group.expert];
    if (gate.defined()) linears.push_back(call(*mlp.gate, group, x, gate));
    linears.push_back(call(*mlp.up, group, x, up));
  }
  RunPackedGroup(linears);
  const at::Tensor inner = Gated(moe, gate, up, Numerics::kFastest).contiguous();
  linears.clear();
  for (const Pairs::Group& group : pairs.groups)
    linears.push_back(call(*weights.experts[group.expert].down, group, inner, out));
  RunPackedGroup(linears);
  return out;
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
  const Pairs pairs(weights, routing);
  if (pairs.groups.empty()) return at::zeros_like(x);
  const at::Tensor in = at::index_select(x, 0, pairs.tokens);
  const bool packed = weights.experts[pairs.groups[0].expert].up->packed() != nullptr;
  const at::Tensor y =
      packed ? RunPackedMlps(moe, weights, in, pairs) : RunMlps(moe, weights, in, pairs, numerics);
  return SumOfExperts(routing, pairs, y);
}

}  // namespace keel
