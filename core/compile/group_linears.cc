// Linears of one input become one op: q, k and v; gate and up. The input is converted once, and the threads meet once.
// No weights are merged.
#include <utility>
#include <vector>

#include "core/compile/passes.h"

namespace keel::ir {

absl::Status GroupLinears(Function& function, OpRunner&) {
  std::vector<Op> kept;
  const auto group_of = [&](const Op& op) -> Op* {
    if (op.code != Code::kLinears || op.inputs.size() != 1) return nullptr;
    for (Op& earlier : kept) {
      if (earlier.code == Code::kLinears && earlier.inputs.size() == 1 &&
          IsSame(function, earlier.inputs[0], op.inputs[0])) {
        return &earlier;
      }
    }
    return nullptr;
  };
  for (Op& op : function.ops) {
    Op* group = group_of(op);
    if (group == nullptr) {
      kept.push_back(std::move(op));
      continue;
    }
    group->objects.insert(group->objects.end(), op.objects.begin(), op.objects.end());
    group->outputs.insert(group->outputs.end(), op.outputs.begin(), op.outputs.end());
  }
  function.ops = std::move(kept);
  return absl::OkStatus();
}

}  // namespace keel::ir
