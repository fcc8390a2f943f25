#include "core/compile/emit.h"

#include <utility>

#include "core/base/status.h"
#include "core/compile/attention_calls.h"
#include "core/compile/expert_calls.h"
#include "core/compile/fallback_call.h"
#include "core/compile/linears_call.h"
#include "core/compile/operands.h"
#include "core/compile/row_calls.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using ir::Code;

CallPtr Fallback(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  std::vector<TensorOperand> inputs, outputs;
  for (const ir::ValueId id : op.inputs) inputs.push_back(operands.tensor(id));
  for (const ir::ValueId id : op.outputs) outputs.push_back(operands.tensor(id));
  return std::make_unique<FallbackCall>(ops, op.node, std::move(inputs), std::move(outputs));
}

CallPtr MakeCall(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  switch (op.code) {
    case Code::kCopy:
      return std::make_unique<CopyCall>(operands.tensor(op.inputs[0]),
                                        operands.tensor(op.outputs[0]));
    case Code::kLinears:
      return MakeLinearsCall(op, operands, ops.weights());
    case Code::kNode: {
      CallPtr call = MakeRowCall(op, operands, ops);
      return call != nullptr ? std::move(call) : Fallback(op, operands, ops);
    }
    case Code::kGather:
    case Code::kAddNorm:
      return MakeRowCall(op, operands, ops);
    case Code::kWriteKv:
    case Code::kRopeWrite:
    case Code::kAttend:
      return MakeAttentionCall(op, operands, ops);
    case Code::kRoute:
    case Code::kExperts:
      return MakeExpertCall(op, operands, ops);
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::vector<CallPtr>> Emit(const ir::Function& function, const ir::MemoryPlan& plan,
                                          OpRunner& ops) {
  const Operands operands(function, plan);
  return CatchAten([&]() -> absl::StatusOr<std::vector<CallPtr>> {
    std::vector<CallPtr> calls;
    for (const ir::Op& op : function.ops) {
      CallPtr call = MakeCall(op, operands, ops);
      if (call == nullptr) return absl::InternalError("an op of a program has no call");
      calls.push_back(std::move(call));
    }
    return calls;
  });
}

}  // namespace keel
