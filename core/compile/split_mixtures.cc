// A mixture whose experts are packed is taken apart: which experts a token goes to, and what they make of it. No tensor
// is made on the way, and what the experts need meanwhile has a place in the step's memory.
#include <optional>
#include <utility>
#include <vector>

#include "core/compile/expert_calls.h"
#include "core/compile/passes.h"

namespace keel::ir {

absl::Status SplitMixtures(Function& function, OpRunner& ops) {
  std::vector<Op> out;
  for (Op& op : function.ops) {
    const std::optional<int64_t> scratch = ExpertScratchOf(function, op, ops);
    if (!scratch.has_value()) {
      out.push_back(std::move(op));
      continue;
    }
    const Extent rows = function.type(op.inputs[0]).dims[0];
    if (op.Is(proto::OP_MOE)) {
      const int64_t top_k =
          ops.graph().declarations(static_cast<int>(op.node.object()) - 1).moe().top_k();
      const Extent k{top_k, "", 1};
      const ValueId chosen = AddValue(function, {proto::I64, {rows, k}});
      const ValueId weights = AddValue(function, {proto::F32, {rows, k}});
      out.push_back({Code::kRoute, op.node, {op.inputs[1]}, {chosen, weights}, {}});
      op.inputs = {op.inputs[0], chosen, weights};
    }
    op.code = Code::kExperts;
    op.outputs.push_back(AddValue(function, {proto::U8, {rows, {*scratch, "", 1}}}));
    out.push_back(std::move(op));
  }
  function.ops = std::move(out);
  return absl::OkStatus();
}

}  // namespace keel::ir
