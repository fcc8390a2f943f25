#include "core/compile/operands.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "core/compile/views.h"
#include "core/kernels/kernel_type.h"
#include "core/tensor/aten.h"

namespace keel {

using ir::Value;
using ir::ValueId;

at::Tensor TensorOperand::In(const Frame& frame) const {
  if (!is_given) return {};
  if (input >= 0) return frame.inputs[input];
  constexpr size_t kMaxRank = 8;
  int64_t sizes[kMaxRank], steps[kMaxRank];
  TORCH_CHECK(dims.size() <= kMaxRank, "a tensor of ", dims.size(), " dimensions");
  for (size_t i = 0; i < dims.size(); ++i) sizes[i] = frame(dims[i]), steps[i] = frame(strides[i]);
  return at::from_blob(frame(place), {sizes, dims.size()}, {steps, dims.size()}, type);
}

StepSize Operands::size(const Extent& extent) {
  const ir::Region of = !extent.symbolic()             ? ir::Region::kFixed
                        : extent.symbol == ir::kTokens ? ir::Region::kTokens
                                                       : ir::Region::kRows;
  return {extent.size, of, extent.divisor};
}

std::vector<ValueId> Operands::inputs() const {
  std::vector<ValueId> ids;
  for (size_t i = 0; i < function_.values.size(); ++i) {
    const Value& value = function_.values[i];
    if (value.kind == Value::Kind::kInput && value.base == static_cast<ValueId>(i))
      ids.push_back(value.base);
  }
  return ids;
}

Place Operands::place(ValueId id) const {
  const Value& value = function_.values[id];
  Place place;
  place.offset = value.layout.offset * BytesOf(value.dtype());
  switch (value.kind) {
    case Value::Kind::kInput: {
      const std::vector<ValueId> all = inputs();
      place.in = Place::In::kInput;
      place.at = std::find(all.begin(), all.end(), value.base) - all.begin();
      break;
    }
    case Value::Kind::kConstant:
      place.in = Place::In::kConstant;
      place.constant =
          static_cast<const char*>(function_.values[value.base].constant.const_data_ptr());
      break;
    case Value::Kind::kComputed:
      place.region = plan_.slots[value.base].region;
      place.at = plan_.slots[value.base].at;
      break;
  }
  return place;
}

TensorOperand Operands::tensor(ValueId id) const {
  TensorOperand out;
  if (id == ir::kNoValue) {
    out.is_given = false;
    return out;
  }
  const Value& value = function_.values[id];
  out.place = place(id);
  out.type = *ToScalarType(value.dtype());
  for (const Extent& dim : value.type.dims) out.dims.push_back(size(dim));
  for (const Extent& stride : value.layout.strides) out.strides.push_back(size(stride));
  if (out.place.in == Place::In::kInput && value.base == id)
    out.input = static_cast<int>(out.place.at);
  return out;
}

std::optional<RowsOperand> Operands::rows(ValueId id) const {
  const Value& value = function_.values[id];
  if (value.type.dims.empty() || value.type.dims.back().symbolic()) return std::nullopt;
  const std::vector<Extent>& dims = value.type.dims;
  const std::optional<Extent> count = ir::NumElements({dims.begin(), dims.end() - 1});
  if (!count.has_value()) return std::nullopt;
  const std::optional<ir::Layout> layout = ir::Reshaped(value, {*count, dims.back()});
  if (!layout.has_value()) return std::nullopt;
  const Extent& row = layout->strides[0];
  if (row.symbolic() || !(layout->strides[1].is(1) || dims.back().is(1))) return std::nullopt;
  return RowsOperand{place(id), size(*count), dims.back().size, row.size};
}

std::optional<KernelType> Operands::kernel_type(ValueId id) const {
  const std::optional<at::ScalarType> type = ToScalarType(function_.values[id].dtype());
  return type.has_value() ? KernelTypeOf(*type) : std::nullopt;
}

}  // namespace keel
