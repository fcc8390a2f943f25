// Ops whose results nobody reads go, unless they write into caches, states or to other ranks.
#include <algorithm>
#include <utility>
#include <vector>

#include "core/compile/passes.h"

namespace keel::ir {
namespace {

bool HasEffect(const Op& op) {
  if (op.code == Code::kWriteKv || op.code == Code::kRopeWrite) return true;
  if (op.code != Code::kNode) return false;
  switch (op.node.op()) {
    case proto::OP_ATTENTION:
    case proto::OP_RECUR:
    case proto::OP_CALL:
    case proto::OP_ALL_REDUCE:
    case proto::OP_ALL_GATHER:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status RemoveDead(Function& function, OpRunner&) {
  std::vector<bool> read(function.values.size());  // by base
  const auto mark = [&](ValueId id) {
    if (id != kNoValue) read[function.values[id].base] = true;
  };
  for (const ValueId id : function.outputs) mark(id);
  std::vector<Op> kept;
  for (size_t i = function.ops.size(); i-- > 0;) {
    Op& op = function.ops[i];
    const bool is_read =
        std::any_of(op.outputs.begin(), op.outputs.end(), [&](ValueId id) { return read[id]; });
    if (!is_read && !HasEffect(op)) continue;
    for (const ValueId id : op.inputs) mark(id);
    kept.push_back(std::move(op));
  }
  std::reverse(kept.begin(), kept.end());
  function.ops = std::move(kept);
  return absl::OkStatus();
}

}  // namespace keel::ir
