#include "core/ops/moe.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "core/kernels/kernel_type.h"
#include "core/kernels/weighted_rows.h"
#include "core/ops/activation.h"
#include "core/ops/indices.h"
#include "core/ops/invariant.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

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

// x, ids and weights as the kernel takes them.
at::Tensor RunPacked(const PackedExperts& experts, const at::Tensor& any_x,
                     const Routing& routing) {
  const auto in_rows = [](const at::Tensor& t) { return t.stride(1) == 1 ? t : t.contiguous(); };
  const at::Tensor x = in_rows(any_x), chosen = in_rows(routing.experts.to(at::kLong));
  const bool is_known = KernelTypeOf(routing.weights.scalar_type()).has_value();
  const at::Tensor weights = in_rows(is_known ? routing.weights : routing.weights.to(at::kFloat));
  at::Tensor y = at::empty({x.size(0), experts.hidden_size}, x.options());
  ExpertRows rows;
  rows.x = x.const_data_ptr(), rows.x_stride = x.stride(0);
  rows.y = y.mutable_data_ptr();
  rows.rows = x.size(0), rows.top_k = chosen.size(1);
  rows.chosen = chosen.const_data_ptr<int64_t>(), rows.chosen_stride = chosen.stride(0);
  rows.weights_type = *KernelTypeOf(weights.scalar_type());
  rows.weights = weights.const_data_ptr(), rows.weights_stride = weights.stride(0);
  const at::Tensor scratch = at::empty({rows.rows * ExpertScratchBytes(experts, rows.top_k)},
                                       x.options().dtype(at::kByte));
  rows.scratch = scratch.mutable_data_ptr();
  RunPackedExperts(experts, rows);
  return y;
}

// Whether it is packed for such x, [n, k].
bool IsPacked(const LinearPtr& linear, int64_t n, int64_t k, KernelType type) {
  const PackedLinear* packed = linear->packed();
  return packed != nullptr && packed->n == n && packed->k == k && packed->type == type;
}

}  // namespace

Router RouterOf(const proto::Moe& moe, const at::Tensor& score_bias) {
  Router router;
  router.scoring = static_cast<RouterScoring>(moe.scoring() - KEEL_MOE_SOFTMAX);
  router.experts = moe.experts();
  router.top_k = moe.top_k();
  router.groups = moe.groups();
  router.top_groups = moe.top_groups();
  if (score_bias.defined() && router.scoring != RouterScoring::kTopkSoftmax) {
    TORCH_CHECK(score_bias.numel() == moe.experts() && score_bias.is_contiguous(),
                "a score bias of ", score_bias.sizes(), ", expected [", moe.experts(), "]");
    router.bias = score_bias.const_data_ptr<float>();
  }
  router.normalize = moe.norm_topk();
  if (moe.routed_scale() != 0) router.scale = static_cast<float>(moe.routed_scale());
  return router;
}

std::optional<PackedExperts> PackedExpertsOf(const proto::Moe& moe, const ExpertWeights& weights,
                                             at::ScalarType type) {
  const std::optional<KernelType> kernel_type = KernelTypeOf(type);
  const auto own = std::find_if(weights.experts.begin(), weights.experts.end(),
                                [](const ExpertWeights::Mlp& mlp) { return mlp.up != nullptr; });
  if (!kernel_type.has_value() || own == weights.experts.end() || own->up->packed() == nullptr)
    return std::nullopt;
  PackedExperts packed;
  packed.type = *kernel_type;
  packed.hidden_size = own->up->packed()->k;
  packed.inner_size = own->up->packed()->n;
  packed.has_gate = own->gate != nullptr;
  packed.act = static_cast<Act>(moe.act() - KEEL_ACT_SILU);
  packed.limit = static_cast<float>(moe.limit());
  packed.up_offset = static_cast<float>(moe.up_offset());
  const int64_t hidden = packed.hidden_size, inner = packed.inner_size;
  for (const ExpertWeights::Mlp& mlp : weights.experts) {
    PackedExpert& expert = packed.experts.emplace_back();
    if (mlp.up == nullptr) continue;
    if ((mlp.gate != nullptr) != packed.has_gate || !IsPacked(mlp.up, inner, hidden, packed.type) ||
        !IsPacked(mlp.down, hidden, inner, packed.type) ||
        (packed.has_gate && !IsPacked(mlp.gate, inner, hidden, packed.type))) {
      return std::nullopt;
    }
    expert = {packed.has_gate ? mlp.gate->packed() : nullptr, mlp.up->packed(), mlp.down->packed()};
  }
  return packed;
}

Routing RouteTokens(const proto::Moe& moe, const at::Tensor& score_bias,
                    const at::Tensor& any_logits) {
  TORCH_CHECK(any_logits.dim() == 2 && any_logits.size(1) == moe.experts(), "router logits are ",
              any_logits.sizes(), ", expected [N, ", moe.experts(), "]");
  const bool is_known = KernelTypeOf(any_logits.scalar_type()).has_value();
  const at::Tensor logits = (is_known ? any_logits : any_logits.to(at::kFloat)).contiguous();
  const int64_t n = logits.size(0);
  Routing routing = {at::empty({n, moe.top_k()}, at::kLong),
                     at::empty({n, moe.top_k()}, at::kFloat)};
  RunRouter(
      RouterOf(moe, score_bias),
      {*KernelTypeOf(logits.scalar_type()), logits.const_data_ptr(), n, logits.size(1),
       routing.experts.mutable_data_ptr<int64_t>(), routing.weights.mutable_data_ptr<float>()});
  return routing;
}

at::Tensor RunExperts(const proto::Moe& moe, const ExpertWeights& weights, const at::Tensor& x,
                      const Routing& routing, Numerics numerics) {
  TORCH_CHECK(x.dim() == 2 && routing.experts.dim() == 2 && routing.experts.size(0) == x.size(0) &&
                  routing.weights.sizes() == routing.experts.sizes(),
              "moe of ", x.sizes(), " with expert ids ", routing.experts.sizes(), " and weights ",
              routing.weights.sizes());
  const auto packed = PackedExpertsOf(moe, weights, x.scalar_type());
  if (packed.has_value()) {
    TORCH_CHECK(x.size(1) == packed->hidden_size, "experts of ", packed->hidden_size,
                " inputs over ", x.sizes());
    return RunPacked(*packed, x, routing);
  }
  const Pairs pairs(weights, routing);
  if (pairs.groups.empty()) return at::zeros_like(x);
  const at::Tensor in = at::index_select(x, 0, pairs.tokens);
  return SumOfExperts(routing, pairs, RunMlps(moe, weights, in, pairs, numerics));
}

}  // namespace keel
