#include "core/exec/interpreter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {

// Finds where each value is last used.
Interpreter::Interpreter(const proto::Function& function)
    : function_(&function), dead_after_(function.nodes_size()) {
  std::vector<int> last_use(function.inputs_size() + 1, -1);  // of value i; 0: not given
  for (int i = 0; i < function.nodes_size(); ++i) {
    const proto::Node& node = function.nodes(i);
    for (uint32_t value : node.inputs()) last_use[value] = i;
    last_use.resize(last_use.size() + node.outputs_size(), i);  // dead at once unless it is used
  }
  const int end = function.nodes_size();
  for (uint32_t value : function.outputs()) last_use[value] = end;
  num_values_ = last_use.size() - 1;
  for (uint32_t value = 1; value <= num_values_; ++value) {
    const int last = last_use[value];
    if (last >= 0 && last < end) dead_after_[last].push_back(value);
  }
}

// A kernel's results are allocated for it: their types with the sizes of this run.
absl::StatusOr<proto::Node> Interpreter::WithSizes(const proto::Node& node,
                                                   absl::Span<const at::Tensor> inputs) const {
  const auto size_of = [&](const std::string& symbol) -> int64_t {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const proto::Type& type = function_->inputs(static_cast<int>(i)).type();
      for (int d = 0; d < type.dims_size(); ++d) {
        if (type.dims(d).symbol() == symbol)
          return inputs[i].size(d) / std::max<int64_t>(1, type.dims(d).size());
      }
    }
    return -1;
  };
  proto::Node sized = node;
  for (proto::Type& type : *sized.mutable_types()) {
    for (proto::Dim& dim : *type.mutable_dims()) {
      if (dim.symbol().empty()) continue;
      const int64_t size = size_of(dim.symbol());
      if (size < 0)
        return absl::InternalError(absl::StrCat("no input has the size ", dim.symbol()));
      dim.set_size(size * std::max<int64_t>(1, dim.size()) / std::max<int64_t>(1, dim.divisor()));
      dim.clear_symbol();
      dim.clear_divisor();
    }
  }
  return sized;
}

absl::StatusOr<Interpreter::Pass> Interpreter::Begin(absl::Span<const at::Tensor> inputs) const {
  if (inputs.size() != static_cast<size_t>(function_->inputs_size())) {
    return absl::InvalidArgumentError(absl::StrCat(function_->name(), " got ", inputs.size(),
                                                   " inputs, expected ", function_->inputs_size()));
  }
  Pass pass;
  pass.interpreter_ = this;
  pass.values_.resize(num_values_ + 1);
  std::copy(inputs.begin(), inputs.end(), pass.values_.begin() + 1);
  pass.inputs_.assign(inputs.begin(), inputs.end());
  return pass;
}

absl::Status Interpreter::Pass::RunNext(OpRunner& ops) {
  const proto::Function& function = *interpreter_->function_;
  const proto::Node& node = function.nodes(next_);
  const std::vector<uint32_t>& dead = interpreter_->dead_after_[next_];
  operands_.clear();
  results_.clear();
  for (uint32_t value : node.inputs()) operands_.push_back(values_[value]);
  // Operands hold the only references to what dies here, so an op may reuse them.
  for (uint32_t value : dead) values_[value].reset();
  absl::Status status;
  if (node.op() == proto::OP_CALL) {
    KEEL_ASSIGN_OR_RETURN(const proto::Node sized, interpreter_->WithSizes(node, inputs_));
    status = ops.Run(sized, operands_, &results_);
  } else {
    status = ops.Run(node, operands_, &results_);
  }
  const auto where = [&] { return absl::StrCat(function.name(), ", node ", next_); };
  if (!status.ok()) return Annotate(status, where());
  if (results_.size() != static_cast<size_t>(node.outputs_size())) {
    return absl::InternalError(absl::StrCat(where(), ": gave ", results_.size(),
                                            " values, expected ", node.outputs_size()));
  }
  for (int out = 0; out < node.outputs_size(); ++out)
    values_[node.outputs(out)] = std::move(results_[out]);
  for (uint32_t value : dead) values_[value].reset();  // outputs that nothing uses
  operands_.clear();
  ++next_;
  return absl::OkStatus();
}

absl::Status Interpreter::Pass::Continue(OpRunner& ops, absl::FunctionRef<bool()> stop) {
  while (!done()) {
    KEEL_RETURN_IF_ERROR(RunNext(ops));
    if (stop()) break;
  }
  return absl::OkStatus();
}

std::vector<at::Tensor> Interpreter::Pass::TakeOutputs() {
  std::vector<at::Tensor> outputs;
  for (uint32_t value : interpreter_->function_->outputs()) outputs.push_back(values_[value]);
  values_.clear();
  return outputs;
}

absl::StatusOr<std::vector<at::Tensor>> Interpreter::Run(
    OpRunner& ops, absl::Span<const at::Tensor> inputs) const {
  KEEL_ASSIGN_OR_RETURN(Pass pass, Begin(inputs));
  KEEL_RETURN_IF_ERROR(pass.Continue(ops, [] { return false; }));
  return pass.TakeOutputs();
}

}  // namespace keel
