#include "core/exec/interpreter.h"

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

absl::StatusOr<std::vector<at::Tensor>> Interpreter::Run(
    OpRunner& ops, absl::Span<const at::Tensor> inputs) const {
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
