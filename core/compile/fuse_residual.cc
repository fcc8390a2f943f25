// A linear whose result is only added to a residual adds it itself, in the epilogue of its kernel.
#include <utility>
#include <vector>

#include "core/compile/passes.h"

namespace keel::ir {
namespace {

// The op that adds what linear `i` gives to something of its own size; -1: none.
int AdderOf(const Function& function, const std::vector<int>& uses, int i) {
  const Op& linear = function.ops[i];
  if (linear.code != Code::kLinears || linear.outputs.size() != 1 || linear.inputs.size() != 1)
    return -1;
  const ValueId y = linear.outputs[0];
  const int reader = uses[y] == 1 ? NextReader(function, y, i) : -1;
  if (reader < 0 || !function.ops[reader].Is(proto::OP_ADD)) return -1;
  const Op& add = function.ops[reader];
  const ValueId residual = add.inputs[add.inputs[0] == y ? 1 : 0];
  const bool adds_whole = add.inputs[0] == y || add.inputs[1] == y;
  return adds_whole && function.type(residual) == function.type(y) ? reader : -1;
}

}  // namespace

absl::Status FuseResidual(Function& function, OpRunner&) {
  const std::vector<int> uses = CountUses(function);
  std::vector<bool> gone(function.ops.size());
  for (int i = 0; i < static_cast<int>(function.ops.size()); ++i) {
    const int adder = AdderOf(function, uses, i);
    if (adder < 0) continue;
    Op& add = function.ops[adder];
    const ValueId y = function.ops[i].outputs[0];
    const ValueId residual = add.inputs[add.inputs[0] == y ? 1 : 0];
    // Where the sum was, as the residual may be made between the two.
    Op linear = std::move(function.ops[i]);
    linear.inputs.push_back(residual);
    linear.outputs = add.outputs;
    add = std::move(linear);
    gone[i] = true;
  }
  std::vector<Op> kept;
  for (size_t i = 0; i < gone.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(function.ops[i]));
  function.ops = std::move(kept);
  return absl::OkStatus();
}

}  // namespace keel::ir
