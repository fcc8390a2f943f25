#include "core/graph/encoder_inputs.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/types.h"

namespace keel {
namespace {

// Adds the sizes of `type`'s symbols to `sizes`, or says what is wrong with `tensor`.
absl::Status CheckInput(const std::string& name, const TensorType& type, const HostTensor& tensor,
                        SymbolSizes& sizes) {
  const std::string shape = absl::StrCat("[", absl::StrJoin(tensor.dims, ", "), "]");
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat("input '", name, "' is ",
                                                   TorchName(tensor.dtype), " ", shape,
                                                   ", expected ", ToString(type)));
  };
  const bool fits_type = type.dtype == proto::MODEL
                             ? IsFloatingPoint(tensor.dtype) && BytesOf(tensor.dtype) > 0
                             : type.dtype == static_cast<proto::DataType>(tensor.dtype);
  if (!fits_type || tensor.dims.size() != type.dims.size()) return bad();
  int64_t elements = 1;
  for (size_t i = 0; i < type.dims.size(); ++i) {
    const Extent& extent = type.dims[i];
    const int64_t size = tensor.dims[i];
    if (size < 0) return bad();
    if (extent.symbol.empty()) {
      if (size != extent.size) return bad();
    } else {
      const int64_t symbol = size * extent.divisor / extent.size;
      const auto known = sizes.emplace(extent.symbol, symbol).first;
      if (known->second * extent.size != size * extent.divisor) {
        return absl::InvalidArgumentError(
            absl::StrCat(bad().message(), " with ", extent.symbol, " = ", known->second));
      }
    }
    elements *= size;
  }
  if (BytesOfElements(tensor.dtype, elements) == static_cast<int64_t>(tensor.bytes.size()))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("input '", name, "' has ", tensor.bytes.size(), " bytes for ", shape));
}

}  // namespace

absl::StatusOr<SymbolSizes> CheckInputs(const proto::Function& encode, const NamedTensors& inputs) {
  SymbolSizes sizes;
  for (const proto::Function::Input& input : encode.inputs()) {
    const auto found = inputs.find(input.name());
    if (found == inputs.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(encode.name(), ": input '", input.name(), "' is missing"));
    }
    KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
    if (absl::Status status = CheckInput(input.name(), type, found->second, sizes); !status.ok())
      return Annotate(status, encode.name());
  }
  if (static_cast<int>(inputs.size()) != encode.inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat(encode.name(), ": got ", inputs.size(),
                                                   " inputs, expected ", encode.inputs_size()));
  }
  return sizes;
}

absl::StatusOr<int64_t> RowsOfEncode(const proto::Function& encode, const SymbolSizes& sizes) {
  std::vector<const proto::Type*> values;
  for (const proto::Function::Input& input : encode.inputs()) values.push_back(&input.type());
  for (const proto::Node& node : encode.nodes()) {
    for (const proto::Type& type : node.types()) values.push_back(&type);
  }
  KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(*values[encode.outputs(0) - 1]));
  const Extent& rows = type.dims[0];
  return rows.symbolic() ? rows.size * sizes.at(rows.symbol) / rows.divisor : rows.size;
}

}  // namespace keel
