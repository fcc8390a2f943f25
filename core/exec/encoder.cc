#include "core/exec/encoder.h"

#include <ATen/ops/from_blob.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/graph/encoder_inputs.h"
#include "core/graph/merge_inputs.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

constexpr absl::string_view kPrefix = "encode/";

absl::StatusOr<at::Tensor> Operand(const proto::Function::Input& input, const HostTensor& tensor,
                                   DType model_dtype) {
  const auto type = ToScalarType(tensor.dtype);
  if (!type.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("input '", input.name(), "' is ",
                                                   TorchName(tensor.dtype), ", which no op takes"));
  }
  return CatchAten([&] {
    const at::Tensor view = at::from_blob(const_cast<uint8_t*>(tensor.bytes.data()), tensor.dims,
                                          at::TensorOptions().dtype(*type));
    const bool is_model = input.type().dtype() == proto::MODEL;
    return is_model ? view.to(*ToScalarType(model_dtype)) : view;
  });
}

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

Encoder::Encoder(const proto::ModelSpec& spec, const proto::Function& function,
                 int64_t rows_per_feature, bool merges)
    : spec_(spec),
      function_(function),
      rows_per_feature_(rows_per_feature),
      merges_(merges && CanMergeInputs(spec, function)) {}

absl::StatusOr<Encoder::Run> Encoder::Begin(DType dtype,
                                            absl::Span<const NamedTensors* const> items) const {
  const proto::Function& function = function_.function();
  if (items.size() != 1 && !merges_) {
    return absl::UnimplementedError(
        absl::StrCat(function.name(), ": got ", items.size(), " items, expected 1 in a call"));
  }
  std::vector<int64_t> rows;
  for (const NamedTensors* item : items) {
    KEEL_ASSIGN_OR_RETURN(const SymbolSizes sizes, CheckInputs(function, *item));
    KEEL_ASSIGN_OR_RETURN(rows.emplace_back(), RowsOfEncode(function, sizes));
    if (rows.back() % rows_per_feature_ == 0) continue;
    return absl::InternalError(absl::StrCat(function.name(), " gives ", rows.back(),
                                            " rows, expected ", rows_per_feature_,
                                            " for each feature"));
  }
  NamedTensors merged;
  if (items.size() > 1) {
    KEEL_ASSIGN_OR_RETURN(merged, MergeInputs(spec_, function, items));
  }
  const NamedTensors& inputs = items.size() > 1 ? merged : *items[0];
  std::vector<at::Tensor> operands;
  for (const proto::Function::Input& input : function.inputs()) {
    KEEL_ASSIGN_OR_RETURN(operands.emplace_back(), Operand(input, inputs.at(input.name()), dtype));
  }
  KEEL_ASSIGN_OR_RETURN(Interpreter::Pass pass, function_.Begin(operands));
  return Run(*this, std::move(rows), std::move(merged), std::move(pass));
}

absl::StatusOr<FeatureList> Encoder::Run::Advance(OpRunner& ops, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  ops.BeginStep(nullptr);
  const absl::Status status = pass_.Continue(ops, [end] { return absl::Now() >= end; });
  ops.EndStep();
  KEEL_RETURN_IF_ERROR(status);
  if (!pass_.done()) return FeatureList();
  return Split(pass_.TakeOutputs().front());
}

absl::StatusOr<FeatureList> Encoder::Run::Split(const at::Tensor& rows) const {
  return CatchAten([&] {
    FeatureList features;
    int64_t first = 0;
    for (const int64_t n : rows_) {
      at::Tensor own = rows.narrow(0, first, n).contiguous();
      if (rows_.size() > 1) own = own.clone();  // kept and forgotten without the others'
      features.push_back(std::make_shared<const Features>(own, encoder_->rows_per_feature_));
      first += n;
    }
    return features;
  });
}

}  // namespace keel
