// An activation that is only multiplied with something of its own size becomes act_mul.
#include <utility>
#include <vector>

#include "core/compile/passes.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel::ir {
namespace {

bool IsActivation(const Op& op) {
  return op.Is(proto::OP_UNARY) && op::Unary(op.node).kind() >= KEEL_UNARY_ACT;
}

}  // namespace

absl::Status FuseActMul(Function& function, OpRunner&) {
  const std::vector<int> uses = CountUses(function);
  for (int i = 0; i < static_cast<int>(function.ops.size()); ++i) {
    if (!IsActivation(function.ops[i])) continue;
    const Op& act = function.ops[i];
    const ValueId y = act.outputs[0];
    const int reader = uses[y] == 1 ? NextReader(function, y, i) : -1;
    if (reader < 0 || !function.ops[reader].Is(proto::OP_MUL)) continue;
    Op& mul = function.ops[reader];
    if (mul.inputs[0] != y && mul.inputs[1] != y) continue;  // a view of it
    const ValueId other = mul.inputs[mul.inputs[0] == y ? 1 : 0];
    if (function.type(other) != function.type(y)) continue;
    mul.node = op::ActMul::Make(op::Unary(act.node).kind() - KEEL_UNARY_ACT);
    mul.inputs = {act.inputs[0], other};
    function.ops.erase(function.ops.begin() + i--);
  }
  return absl::OkStatus();
}

}  // namespace keel::ir
