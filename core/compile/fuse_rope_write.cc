// Queries and keys are rotated, and keys and values written into the cache, in one pass over the step's tokens.
#include <utility>
#include <vector>

#include "core/compile/passes.h"
#include "core/compile/rope_operand.h"

namespace keel::ir {
namespace {

// The rope that gives `id`, whole; -1: none that the row kernel computes.
int RopeOf(const Function& function, ValueId id, OpRunner& ops) {
  const int maker = function.values[id].base == id ? MakerOf(function, id) : -1;
  if (maker < 0 || !function.ops[maker].Is(proto::OP_ROPE)) return -1;
  const Op& rope = function.ops[maker];
  const MemoryPlan no_memory = {std::vector<MemoryPlan::Slot>(function.values.size()), {}};
  const Operands operands(function, no_memory);
  const bool fits = RopeOperand::Of(rope.node.object(), rope.inputs[1],
                                    function.values[rope.inputs[0]], operands, ops)
                        .has_value();
  return fits ? maker : -1;
}

// The ropes of queries and keys before the write at `i`, rotating alike.
bool FindRopes(const Function& function, const std::vector<int>& uses, int i, OpRunner& ops,
               int* of_q, int* of_k) {
  const Op& write = function.ops[i];
  if (write.code != Code::kWriteKv || i + 1 >= static_cast<int>(function.ops.size())) return false;
  const Op& attend = function.ops[i + 1];
  if (attend.code != Code::kAttend) return false;
  *of_q = RopeOf(function, attend.inputs[0], ops);
  *of_k = RopeOf(function, write.inputs[0], ops);
  if (*of_q < 0 || *of_k < 0 || *of_q > i || uses[write.inputs[0]] != 1) return false;
  const Op &q = function.ops[*of_q], &k = function.ops[*of_k];
  return q.node.object() == k.node.object() && q.inputs[1] == k.inputs[1] &&
         NextReader(function, q.outputs[0], *of_q) == i + 1;
}

}  // namespace

absl::Status FuseRopeWrite(Function& function, OpRunner& ops) {
  for (int i = 0; i < static_cast<int>(function.ops.size()); ++i) {
    int of_q = -1, of_k = -1;
    if (!FindRopes(function, CountUses(function), i, ops, &of_q, &of_k)) continue;
    const Op &q = function.ops[of_q], &k = function.ops[of_k];
    Op& write = function.ops[i];
    write.code = Code::kRopeWrite;
    write.inputs = {q.inputs[0], k.inputs[0], write.inputs[1], q.inputs[1]};
    write.outputs = q.outputs;
    write.objects = {q.node.object()};
    function.ops.erase(function.ops.begin() + std::max(of_q, of_k));
    function.ops.erase(function.ops.begin() + std::min(of_q, of_k));
    i -= 2;
  }
  return absl::OkStatus();
}

}  // namespace keel::ir
