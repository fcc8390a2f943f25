#include "core/ops/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "core/graph/rope_length.h"
#include "core/kernels/kernel_table.h"
#include "core/ops/invariant.h"

namespace keel {
namespace {

// Dynamic NTK: the base grows with the length beyond what the model was trained for.
std::vector<double> DynamicFrequencies(const proto::Rope& rope, int64_t length) {
  const double trained = static_cast<double>(rope.original_max_positions());
  const double size = static_cast<double>(rope.rotary_size());
  const double stretch =
      rope.dynamic_factor() * static_cast<double>(length) / trained - (rope.dynamic_factor() - 1);
  const double base = rope.theta() * std::pow(stretch, size / (size - 2));
  std::vector<double> frequencies(rope.rotary_size() / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / size);
  }
  return frequencies;
}

// Which axis of the positions frequency i follows.
int64_t AxisOf(const proto::Rope& rope, int64_t i) {
  const int64_t axes = rope.sections_size();
  if (rope.sections_interleaved()) {
    const int64_t axis = i % axes;
    return i < axes * rope.sections(static_cast<int>(axis)) ? axis : 0;
  }
  int64_t end = 0;
  for (int axis = 0; axis < axes; ++axis) {
    end += rope.sections(axis);
    if (i < end) return axis;
  }
  return axes - 1;
}

// The angle's position of each frequency, f32 [N, rotary_size / 2] or [N, 1].
at::Tensor PositionsByFrequency(const proto::Rope& rope, const at::Tensor& positions) {
  if (rope.sections_size() == 0) {
    TORCH_CHECK(positions.dim() == 1, "positions are ", positions.sizes(), ", expected [N]");
    return positions.to(at::kFloat).unsqueeze(1);
  }
  TORCH_CHECK(positions.dim() == 2 && positions.size(0) == rope.sections_size(), "positions are ",
              positions.sizes(), ", expected [", rope.sections_size(), ", N]");
  const int64_t half = rope.rotary_size() / 2;
  at::Tensor axes = at::empty({half}, at::kLong);
  for (int64_t i = 0; i < half; ++i) axes.mutable_data_ptr<int64_t>()[i] = AxisOf(rope, i);
  return positions.to(at::kFloat).index_select(0, axes).transpose(0, 1);
}

}  // namespace

at::Tensor RopeFrequencies(const proto::Rope& rope, int64_t length) {
  const int64_t half = rope.rotary_size() / 2;
  const bool beyond = GoesByLength(rope) && length > rope.original_max_positions();
  std::vector<double> values(rope.inv_freq().begin(), rope.inv_freq().end());
  if (beyond && rope.long_inv_freq_size() > 0) {
    values.assign(rope.long_inv_freq().begin(), rope.long_inv_freq().end());
  } else if (beyond) {
    values = DynamicFrequencies(rope, length);
  }
  TORCH_CHECK(static_cast<int64_t>(values.size()) == half, "rope has ", values.size(),
              " frequencies, expected ", half);
  at::Tensor frequencies = at::empty({half}, at::kFloat);
  for (int64_t i = 0; i < half; ++i) {
    frequencies.mutable_data_ptr<float>()[i] = static_cast<float>(values[i]);
  }
  return frequencies;
}

namespace {

// f32 [N, rotary_size / 2], or [1, ..] where all rows have the same.
at::Tensor FrequenciesOfRows(const proto::Rope& rope, const at::Tensor& positions,
                             absl::Span<const int64_t> lengths) {
  if (!GoesByLength(rope)) return RopeFrequencies(rope, 0).unsqueeze(0);
  const auto rows = static_cast<int64_t>(lengths.size());
  if (rows != positions.size(-1)) {
    const int64_t length = positions.numel() > 0 ? positions.max().item<int64_t>() + 1 : 0;
    return RopeFrequencies(rope, length).unsqueeze(0);
  }
  at::Tensor all = at::empty({rows, rope.rotary_size() / 2}, at::kFloat);
  at::Tensor frequencies;
  for (int64_t i = 0; i < rows; ++i) {
    // The tokens of a prompt follow each other.
    if (i == 0 || lengths[i] != lengths[i - 1]) frequencies = RopeFrequencies(rope, lengths[i]);
    all.select(0, i).copy_(frequencies);
  }
  return all;
}

}  // namespace

CosSin MakeCosSin(const proto::Rope& rope, const at::Tensor& positions,
                  absl::Span<const int64_t> lengths, at::ScalarType type, Numerics numerics) {
  const at::Tensor angles =
      PositionsByFrequency(rope, positions) * FrequenciesOfRows(rope, positions, lengths);
  const double factor = rope.attention_factor() == 0 ? 1.0 : rope.attention_factor();
  CosSin table;
  table.cos = ByElement(numerics, angles, [](const at::Tensor& x) { return at::cos(x); });
  table.sin = ByElement(numerics, angles, [](const at::Tensor& x) { return at::sin(x); });
  if (factor != 1.0) {
    table.cos = table.cos * factor;
    table.sin = table.sin * factor;
  }
  const at::ScalarType kept = rope.fp32() ? at::kFloat : type;
  return {table.cos.to(kept).contiguous(), table.sin.to(kept).contiguous()};
}

bool IsPlainRope(const proto::Rope& rope) { return !rope.interleaved() && !rope.fp32(); }

at::Tensor ApplyRope(const proto::Rope& rope, const at::Tensor& x, const CosSin& table,
                     Numerics numerics) {
  TORCH_CHECK(x.dim() == 3 && x.size(2) == rope.head_dim() && x.size(0) == table.cos.size(0),
              "rope of ", x.sizes(), " at ", table.cos.size(0), " positions, expected [N, heads, ",
              rope.head_dim(), "]");
  if (!rope.interleaved()) {
    const auto* kernel = RopeKernel(KernelKey::Of(x, numerics));
    if (kernel != nullptr) return kernel->run(x, table.cos, table.sin);
  }
  const int64_t size = rope.rotary_size(), half = size / 2;
  at::Tensor rotated = size == x.size(2) ? x : x.narrow(2, 0, size);
  if (rope.fp32()) rotated = rotated.to(at::kFloat);
  at::Tensor first, second;
  if (rope.interleaved()) {
    first = rotated.slice(2, 0, size, 2);
    second = rotated.slice(2, 1, size, 2);
  } else {
    first = rotated.narrow(2, 0, half);
    second = rotated.narrow(2, half, half);
  }
  const at::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1);
  const at::Tensor out_first = first * cos + second.neg() * sin;
  const at::Tensor out_second = second * cos + first * sin;
  at::Tensor out = rope.interleaved() ? at::stack({out_first, out_second}, 3).flatten(2)
                                      : at::cat({out_first, out_second}, 2);
  out = out.to(x.scalar_type());
  return size == x.size(2) ? out : at::cat({out, x.narrow(2, size, x.size(2) - size)}, 2);
}

const CosSin& RopeTables::Get(uint32_t object, const proto::Rope& rope, const at::Tensor& positions,
                              absl::Span<const int64_t> lengths, at::ScalarType type) {
  for (const Entry& entry : entries_) {
    if (entry.object == object && entry.positions.is_same(positions) && entry.type == type) {
      return entry.table;
    }
  }
  entries_.push_back(
      {object, positions, type, MakeCosSin(rope, positions, lengths, type, numerics_)});
  return entries_.back().table;
}

}  // namespace keel
