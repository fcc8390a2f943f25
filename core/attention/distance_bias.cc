#include "core/attention/distance_bias.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>

namespace keel {
namespace {

// [Q, K]: the key's position less the query's.
at::Tensor Distances(const DenseSequence& s) {
  const int64_t queries = s.q.size(1), end = s.first_key + s.k.size(1);
  const at::Tensor i = at::arange(end - queries, end, at::kLong);
  return at::arange(s.first_key, end, at::kLong).unsqueeze(0) - i.unsqueeze(1);
}

// Where each distance is in a bias of 2 D + 1 columns: those beyond D at the ends.
at::Tensor Columns(const at::Tensor& distances, int64_t columns) {
  const int64_t farthest = columns / 2;
  return at::clamp(distances, -farthest, farthest) + farthest;
}

// `columns` [R, C] of each row of `bias` [N, heads, 2 D + 1], of which row `first` is the first:
// [heads, R, C] f32.
at::Tensor TakeOfRows(const at::Tensor& bias, int64_t first, const at::Tensor& columns) {
  const at::Tensor rows = bias.narrow(0, first, columns.size(0)).transpose(0, 1);
  return at::gather(rows, 2, columns.unsqueeze(0).expand({rows.size(0), -1, -1})).to(at::kFloat);
}

}  // namespace

at::Tensor DistanceBias(const AttentionCall& call, const DenseSequence& s) {
  const NamedArg* of_heads = call.Find(kDistanceBias);
  const NamedArg* of_queries = call.Find(kQueryDistanceBias);
  const NamedArg* of_keys = call.Find(kKeyDistanceBias);
  if (of_heads == nullptr && of_queries == nullptr && of_keys == nullptr) return {};
  const at::Tensor distances = Distances(s);
  at::Tensor sum;
  const auto add = [&](const at::Tensor& bias) { sum = sum.defined() ? sum + bias : bias; };
  if (of_heads != nullptr) {
    const at::Tensor& bias = of_heads->tensor;
    const at::Tensor columns = Columns(distances, bias.size(1));
    add(at::index_select(bias, 1, columns.view({-1}))
            .view({bias.size(0), columns.size(0), columns.size(1)})
            .to(at::kFloat));
  }
  if (of_queries != nullptr) {
    const at::Tensor& bias = of_queries->tensor;
    add(TakeOfRows(bias, s.first_row, Columns(distances, bias.size(2))));
  }
  if (of_keys != nullptr) {
    const at::Tensor& bias = of_keys->tensor;
    add(TakeOfRows(bias, s.first_row, Columns(distances, bias.size(2)).t()).transpose(1, 2));
  }
  return sum;
}

}  // namespace keel
