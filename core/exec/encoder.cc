#include "core/exec/encoder.h"

#include <ATen/ops/from_blob.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/graph/types.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

constexpr absl::string_view kPrefix = "encode/";

// Holds inputs against what a function declares; the sizes of symbols come from the first input that has them.
class InputReader {
 public:
  explicit InputReader(DType model_dtype) : model_dtype_(model_dtype) {}

  absl::StatusOr<at::Tensor> Read(const proto::Function::Input& input, const HostTensor& tensor) {
    KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
    KEEL_RETURN_IF_ERROR(Check(input.name(), type, tensor));
    const bool is_model = type.dtype == proto::MODEL;
    return CatchAten([&] {
      const at::Tensor view = at::from_blob(const_cast<uint8_t*>(tensor.bytes.data()), tensor.dims,
                                            at::TensorOptions().dtype(*ToScalarType(tensor.dtype)));
      return is_model ? view.to(*ToScalarType(model_dtype_)) : view;
    });
  }

 private:
  absl::Status Check(const std::string& name, const TensorType& type, const HostTensor& tensor) {
    const auto bad = [&] {
      return absl::InvalidArgumentError(
          absl::StrCat("input '", name, "' is ", TorchName(tensor.dtype), " ",
                       ShapeString(tensor.dims), ", expected ", ToString(type)));
    };
    const bool fits_type = type.dtype == proto::MODEL
                               ? IsFloatingPoint(tensor.dtype) && ToScalarType(tensor.dtype)
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
        const auto known = sizes_.emplace(extent.symbol, symbol).first;
        if (known->second * extent.size != size * extent.divisor) {
          return absl::InvalidArgumentError(
              absl::StrCat(bad().message(), " with ", extent.symbol, " = ", known->second));
        }
      }
      elements *= size;
    }
    if (BytesOfElements(tensor.dtype, elements) != static_cast<int64_t>(tensor.bytes.size()))
      return absl::InvalidArgumentError(absl::StrCat("input '", name, "' has ", tensor.bytes.size(),
                                                     " bytes for ", ShapeString(tensor.dims)));
    return absl::OkStatus();
  }

  const DType model_dtype_;
  std::map<std::string, int64_t> sizes_;
};

}  // namespace

std::string EncoderName(absl::string_view modality) { return absl::StrCat(kPrefix, modality); }

bool IsEncoder(const proto::Function& function) {
  return absl::StartsWith(function.name(), kPrefix);
}

absl::Status CheckEncodersWhole(const proto::Graph& graph) {
  for (const proto::Function& function : graph.functions()) {
    if (!IsEncoder(function)) continue;
    for (const proto::Node& node : function.nodes()) {
      if (node.op() == proto::OP_ALL_REDUCE || node.op() == proto::OP_ALL_GATHER ||
          node.op() == proto::OP_RANK_PART) {
        return absl::UnimplementedError(absl::StrCat(
            function.name(), ": base_model_tp_plan divides it among ranks; leave its tower out"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Encoder::Run> Encoder::Begin(DType dtype, const NamedTensors& inputs) const {
  const proto::Function& function = function_.function();
  InputReader reader(dtype);
  std::vector<at::Tensor> operands;
  for (const proto::Function::Input& input : function.inputs()) {
    const auto found = inputs.find(input.name());
    if (found == inputs.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(function.name(), ": input '", input.name(), "' is missing"));
    }
    absl::StatusOr<at::Tensor> operand = reader.Read(input, found->second);
    if (!operand.ok()) return Annotate(operand.status(), function.name());
    operands.push_back(*std::move(operand));
  }
  if (inputs.size() != operands.size()) {
    return absl::InvalidArgumentError(absl::StrCat(function.name(), ": got ", inputs.size(),
                                                   " inputs, expected ", operands.size()));
  }
  KEEL_ASSIGN_OR_RETURN(Interpreter::Pass pass, function_.Begin(operands));
  return Run(*this, std::move(pass));
}

absl::StatusOr<std::shared_ptr<const Features>> Encoder::Run::Advance(OpRunner& ops,
                                                                      absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  ops.BeginStep(nullptr);
  const absl::Status status = pass_.Continue(ops, [end] { return absl::Now() >= end; });
  ops.EndStep();
  KEEL_RETURN_IF_ERROR(status);
  if (!pass_.done()) return std::shared_ptr<const Features>();
  const std::vector<at::Tensor> outputs = pass_.TakeOutputs();
  KEEL_ASSIGN_OR_RETURN(const at::Tensor rows,
                        CatchAten([&] { return outputs.front().contiguous(); }));
  const int64_t rows_per_feature = encoder_->rows_per_feature_;
  if (rows.size(0) % rows_per_feature != 0) {
    return absl::InternalError(absl::StrCat(encoder_->function_.function().name(), " gives ",
                                            rows.size(0), " rows, expected ", rows_per_feature,
                                            " for each feature"));
  }
  return std::make_shared<const Features>(rows, rows_per_feature);
}

}  // namespace keel
