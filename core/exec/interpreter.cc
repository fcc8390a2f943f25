#include "core/exec/interpreter.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {

absl::StatusOr<Interpreter> Interpreter::Create(const proto::Function& function) {
  Interpreter interpreter(function);
  KEEL_RETURN_IF_ERROR(interpreter.Plan());
  return interpreter;
}

absl::Status Interpreter::Plan() {
  const auto bad = [&](int node, absl::string_view what, uint32_t value) {
    return absl::InvalidArgumentError(
        absl::StrCat(function_->name(), ", node ", node, ": ", what, " ", value));
  };
  num_values_ = static_cast<uint32_t>(function_->inputs_size());
  std::vector<int> last_use(num_values_, -1);
  dead_after_.resize(function_->nodes_size());
  for (int i = 0; i < function_->nodes_size(); ++i) {
    const proto::Node& node = function_->nodes(i);
    for (uint32_t value : node.inputs()) {
      if (value > num_values_) return bad(i, "uses a value that is not made yet:", value);
      if (value != 0) last_use[value - 1] = i;
    }
    for (uint32_t value : node.outputs()) {
      if (value != num_values_ + 1) return bad(i, "makes a value out of turn:", value);
      ++num_values_;
      last_use.push_back(i);  // dead at once unless something uses it
    }
  }
  const int end = function_->nodes_size();
  for (uint32_t value : function_->outputs()) {
    if (value == 0 || value > num_values_) return bad(end, "there is no output value", value);
    last_use[value - 1] = end;
  }
  for (uint32_t value = 1; value <= num_values_; ++value) {
    const int last = last_use[value - 1];
    if (last >= 0 && last < end) dead_after_[last].push_back(value);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<at::Tensor>> Interpreter::Run(
    OpExecutor& ops, absl::Span<const at::Tensor> inputs) const {
  if (inputs.size() != static_cast<size_t>(function_->inputs_size())) {
    return absl::InvalidArgumentError(absl::StrCat(function_->name(), " got ", inputs.size(),
                                                   " inputs, expected ", function_->inputs_size()));
  }
  std::vector<at::Tensor> values(num_values_ + 1);  // value i is values[i]; 0: not given
  for (size_t i = 0; i < inputs.size(); ++i) values[i + 1] = inputs[i];
  std::vector<at::Tensor> operands, results;
  for (int i = 0; i < function_->nodes_size(); ++i) {
    const proto::Node& node = function_->nodes(i);
    operands.clear();
    results.clear();
    for (uint32_t value : node.inputs()) operands.push_back(values[value]);
    // Operands hold the only references to what dies here, so an op may reuse them.
    for (uint32_t value : dead_after_[i]) values[value].reset();
    absl::Status status = ops.Run(node, operands, &results);
    if (!status.ok()) {
      return Annotate(status, absl::StrCat(function_->name(), ", node ", i));
    }
    if (results.size() != static_cast<size_t>(node.outputs_size())) {
      return absl::InternalError(absl::StrCat(function_->name(), ", node ", i, ": gave ",
                                              results.size(), " values, expected ",
                                              node.outputs_size()));
    }
    for (int out = 0; out < node.outputs_size(); ++out) {
      values[node.outputs(out)] = std::move(results[out]);
    }
    for (uint32_t value : dead_after_[i]) values[value].reset();  // outputs that nothing uses
  }
  std::vector<at::Tensor> outputs;
  for (uint32_t value : function_->outputs()) outputs.push_back(values[value]);
  return outputs;
}

}  // namespace keel
