// Attention that the host's own kernel computes is taken apart: what its tokens leave in the cache, and what they find
// there. No tensor is made on the way.
#include <utility>
#include <vector>

#include "core/compile/attention_calls.h"
#include "core/compile/passes.h"
#include "core/graph/op_attributes.h"

namespace keel::ir {
namespace {

bool CanTakeApart(const Function& function, const Op& op, OpRunner& ops) {
  if (!op.Is(proto::OP_ATTENTION) || !CanAttend(function, op, ops)) return false;
  if (!ops.attention().paged(op.node.object())->writes) return true;
  return CanWriteKv(function.values[op.inputs[1]], function.values[op.inputs[2]], op.node.object(),
                    ops);
}

}  // namespace

absl::Status PagedAttention(Function& function, OpRunner& ops) {
  std::vector<Op> out;
  for (Op& op : function.ops) {
    if (!CanTakeApart(function, op, ops)) {
      out.push_back(std::move(op));
      continue;
    }
    if (ops.attention().paged(op.node.object())->writes)
      out.push_back({Code::kWriteKv, op.node, {op.inputs[1], op.inputs[2]}, {}, {}});
    const int first_arg = op::FixedOperands(proto::OP_ATTENTION);
    op.inputs.erase(op.inputs.begin() + 1, op.inputs.begin() + first_arg);
    op.code = Code::kAttend;
    out.push_back(std::move(op));
  }
  function.ops = std::move(out);
  return absl::OkStatus();
}

}  // namespace keel::ir
