#include "core/compile/views.h"

namespace keel::ir {

// Dimensions that lie side by side are one run of elements; the new ones must fill each run exactly.
std::optional<Layout> Reshaped(const Value& value, const std::vector<Extent>& dims) {
  const std::vector<Extent>& from = value.type.dims;
  const std::vector<Extent>& strides = value.layout.strides;
  const std::optional<std::vector<Extent>> contiguous = ContiguousStrides(dims);
  if (IsContiguous(value) && contiguous.has_value()) return Layout{0, *contiguous};
  if (from.empty() || dims.empty()) return std::nullopt;

  Layout out{0, std::vector<Extent>(dims.size())};
  int next = static_cast<int>(dims.size()) - 1;  // of the new dimensions, from the last
  Extent run_stride = strides.back();
  std::optional<Extent> in_run = Extent{1, "", 1}, filled = in_run;
  for (size_t d = from.size(); d-- > 0;) {
    in_run = Times(*in_run, from[d]);
    if (!in_run.has_value()) return std::nullopt;
    if (d > 0) {
      if (from[d - 1].is(1)) continue;
      const std::optional<Extent> adjacent = Times(*in_run, run_stride);
      if (adjacent.has_value() && strides[d - 1] == *adjacent) continue;
    }
    while (next >= 0 && (*filled != *in_run || dims[next].is(1))) {
      const std::optional<Extent> stride = Times(*filled, run_stride);
      if (!stride.has_value()) return std::nullopt;
      out.strides[next] = *stride;
      filled = Times(*filled, dims[next--]);
      if (!filled.has_value()) return std::nullopt;
    }
    if (*filled != *in_run) return std::nullopt;
    if (d > 0) run_stride = strides[d - 1];
    in_run = filled = Extent{1, "", 1};
  }
  if (next >= 0) return std::nullopt;
  return out;
}

std::optional<Layout> Narrowed(const Value& value, int dim, int64_t start) {
  const Extent& stride = value.layout.strides[dim];
  if (start != 0 && stride.symbolic()) return std::nullopt;
  return Layout{start * stride.size, value.layout.strides};
}

Layout Permuted(const Value& value, absl::Span<const int64_t> order) {
  Layout out;
  for (const int64_t dim : order) out.strides.push_back(value.layout.strides[dim]);
  return out;
}

}  // namespace keel::ir
