#include "core/compile/fallback_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// A plugin's kernel has its results allocated by the node's types, with the sizes of the step.
proto::Node WithSizes(proto::Node node, const std::vector<TensorOperand>& outputs,
                      const Frame& frame) {
  for (int i = 0; i < node.types_size(); ++i) {
    for (int d = 0; d < node.types(i).dims_size(); ++d) {
      proto::Dim& dim = *node.mutable_types(i)->mutable_dims(d);
      dim.Clear();
      dim.set_size(frame(outputs[i].dims[d]));
    }
  }
  return node;
}

}  // namespace

FallbackCall::FallbackCall(OpRunner& ops, proto::Node node, std::vector<TensorOperand> inputs,
                           std::vector<TensorOperand> outputs)
    : ops_(ops), node_(std::move(node)), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

absl::Status FallbackCall::Run(const Frame& frame) {
  if (frame.times == nullptr) return RunOp(frame);
  const auto begin = std::chrono::steady_clock::now();
  absl::Status status = RunOp(frame);
  frame.times->fallbacks += (std::chrono::steady_clock::now() - begin).count();
  return status;
}

absl::Status FallbackCall::RunOp(const Frame& frame) {
  return CatchAten([&]() -> absl::Status {
    std::vector<at::Tensor> inputs, results;
    for (const TensorOperand& operand : inputs_) inputs.push_back(operand.In(frame));
    if (node_.op() == proto::OP_CALL) {
      KEEL_RETURN_IF_ERROR(ops_.Run(WithSizes(node_, outputs_, frame), inputs, &results));
    } else {
      KEEL_RETURN_IF_ERROR(ops_.Run(node_, inputs, &results));
    }
    if (results.size() != outputs_.size()) {
      return absl::InternalError(absl::StrCat("op ", proto::Op_Name(node_.op()), " gave ",
                                              results.size(), " values, expected ",
                                              outputs_.size()));
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const at::Tensor out = outputs_[i].In(frame);
      if (results[i].sizes() != out.sizes() || results[i].scalar_type() != out.scalar_type()) {
        return absl::InternalError(absl::StrCat("op ", proto::Op_Name(node_.op()), " gave ",
                                                TensorString(results[i]), ", expected ",
                                                TensorString(out)));
      }
      out.copy_(results[i]);
    }
    return absl::OkStatus();
  });
}

absl::Status CopyCall::Run(const Frame& frame) {
  return CatchAten([&] {
    y_.In(frame).copy_(x_.In(frame));
    return absl::OkStatus();
  });
}

}  // namespace keel
