// Logits are wanted of a few of the step's tokens, often of one a prompt. What makes hidden states row by row is done
// for those rows alone: of the last layer all behind its attention.
#include <algorithm>
#include <utility>
#include <vector>

#include "core/compile/passes.h"

namespace keel::ir {
namespace {

// Whether row n of its result needs row n of its operands and nothing else of the step.
bool GoesByRow(const Function& function, const Op& op) {
  if (op.outputs.size() != 1) return false;
  const bool by_row = op.code == Code::kLinears || op.Is(proto::OP_NORM) || op.Is(proto::OP_ADD) ||
                      op.Is(proto::OP_SUB) || op.Is(proto::OP_MUL) || op.Is(proto::OP_ACT_MUL) ||
                      op.Is(proto::OP_UNARY) || op.Is(proto::OP_AFFINE) || op.Is(proto::OP_CAST) ||
                      op.Is(proto::OP_MOE);
  if (!by_row) return false;
  const std::vector<Extent>& out = function.type(op.outputs[0]).dims;
  const Extent tokens{1, kTokens, 1};
  for (const ValueId id : op.inputs) {
    const Value& value = function.values[id];
    if (value.kind == Value::Kind::kConstant) continue;
    const std::vector<Extent>& dims = value.type.dims;
    if (dims.size() != out.size() || dims[0] != tokens || value.layout.strides[0].symbolic() ||
        !IsDenseInLast(value, value.type.rank() - 1)) {
      return false;
    }
  }
  return out.size() >= 2 && out[0] == tokens;
}

// Gathers `id` right behind what makes it, unless that is done already. Returns the gathered rows.
ValueId Gather(Function& function, ValueId id, ValueId rows) {
  for (const Op& op : function.ops)
    if (op.code == Code::kGather && IsSame(function, op.inputs[0], id)) return op.outputs[0];
  TensorType type = function.type(id);
  type.dims[0] = {1, kRows, 1};
  const ValueId out = AddValue(function, std::move(type));
  const int maker = MakerOf(function, id);
  function.ops.insert(function.ops.begin() + maker + 1, {Code::kGather, {}, {id, rows}, {out}, {}});
  return out;
}

void Replace(Function& function, ValueId from, ValueId to) {
  for (Op& op : function.ops) std::replace(op.inputs.begin(), op.inputs.end(), from, to);
  std::replace(function.outputs.begin(), function.outputs.end(), from, to);
  for (Value& value : function.values)
    if (value.base == from) value.base = to;
}

// The op whose result is read by gather `g` alone and may be computed behind it; -1: none.
int MakerToMove(const Function& function, int g) {
  const ValueId x = function.ops[g].inputs[0];
  if (function.values[x].base != x || CountUses(function)[x] != 1) return -1;
  const int maker = MakerOf(function, x);
  return maker >= 0 && GoesByRow(function, function.ops[maker]) ? maker : -1;
}

// gather(f(a, b)) becomes f(gather(a), gather(b)).
void Move(Function& function, int g, int maker) {
  const ValueId x = function.ops[g].inputs[0], rows = function.ops[g].inputs[1];
  const ValueId gathered = function.ops[g].outputs[0];
  function.ops.erase(function.ops.begin() + g);
  Op op = std::move(function.ops[maker]);
  function.ops.erase(function.ops.begin() + maker);
  for (ValueId& id : op.inputs)
    if (function.values[id].kind != Value::Kind::kConstant) id = Gather(function, id, rows);
  int last = -1;  // what must come before, now that all gathers have their places
  for (const ValueId id : op.inputs) last = std::max(last, MakerOf(function, id));
  function.values[x].type.dims[0] = {1, kRows, 1};
  function.ops.insert(function.ops.begin() + std::max(last + 1, maker), std::move(op));
  Replace(function, gathered, x);
}

}  // namespace

absl::Status GatherEarly(Function& function, OpRunner&) {
  for (int g = 0; g < static_cast<int>(function.ops.size()); ++g) {
    if (function.ops[g].code != Code::kGather) continue;
    const int maker = MakerToMove(function, g);
    if (maker < 0) continue;
    Move(function, g, maker);
    g = -1;  // from the beginning: there are new ones
  }
  return absl::OkStatus();
}

}  // namespace keel::ir
