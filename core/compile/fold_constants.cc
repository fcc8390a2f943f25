// What is computed of parameters and constants alone is computed once, when the model is loaded.
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/compile/operands.h"
#include "core/compile/passes.h"
#include "core/ops/tensor_ops.h"
#include "core/tensor/aten.h"

namespace keel::ir {
namespace {

bool IsConstant(const Function& function, ValueId id) {
  return id != kNoValue && function.values[id].kind == Value::Kind::kConstant;
}

bool CanFold(const Function& function, const Op& op) {
  if (op.code != Code::kCopy && !(op.code == Code::kNode && IsTensorOp(op.node.op()))) return false;
  for (const ValueId id : op.inputs)
    if (!IsConstant(function, id)) return false;
  return !op.inputs.empty() && op.outputs.size() == 1;
}

// As a tensor; there is no step that it depends on.
at::Tensor TensorOf(const Function& function, ValueId id) {
  const MemoryPlan no_memory;
  return Operands(function, no_memory).tensor(id).In(Frame());
}

// Every view of a value follows when it becomes a constant.
void BecomeConstant(Function& function, ValueId id, at::Tensor constant) {
  function.values[id].constant = std::move(constant);
  for (Value& value : function.values)
    if (value.base == id) value.kind = Value::Kind::kConstant;
}

}  // namespace

absl::Status FoldConstants(Function& function, OpRunner& ops) {
  std::vector<Op> kept;
  for (Op& op : function.ops) {
    if (!CanFold(function, op)) {
      kept.push_back(std::move(op));
      continue;
    }
    std::vector<at::Tensor> inputs, results;
    for (const ValueId id : op.inputs) inputs.push_back(TensorOf(function, id));
    if (op.code == Code::kCopy) {
      results = inputs;
    } else {
      KEEL_RETURN_IF_ERROR(ops.Run(op.node, inputs, &results));
    }
    KEEL_ASSIGN_OR_RETURN(at::Tensor own,
                          CatchAten([&] { return results[0].contiguous().clone(); }));
    BecomeConstant(function, op.outputs[0], std::move(own));
  }
  function.ops = std::move(kept);
  return absl::OkStatus();
}

}  // namespace keel::ir
