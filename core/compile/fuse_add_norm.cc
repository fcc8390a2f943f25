// A sum and its norm are one pass over the rows.
#include <utility>
#include <vector>

#include "core/compile/operands.h"
#include "core/compile/passes.h"
#include "core/kernels/kernel_type.h"
#include "core/ops/norm.h"
#include "core/tensor/aten.h"

namespace keel::ir {
namespace {

// The norm of what `add` gives; -1: none that the kernel takes.
int NormOf(const Function& function, int i, OpRunner& ops) {
  const Op& add = function.ops[i];
  if (!add.Is(proto::OP_ADD)) return -1;
  const ValueId a = add.inputs[0], b = add.inputs[1], sum = add.outputs[0];
  const std::optional<at::ScalarType> type = ToScalarType(function.values[sum].dtype());
  if (function.type(a) != function.type(b) || !IsContiguous(function.values[a]) ||
      !IsContiguous(function.values[b]) || !KernelTypeOf(*type).has_value() ||
      function.type(sum).dims.empty() || function.type(sum).dims.back().symbolic()) {
    return -1;
  }
  for (int j = NextReader(function, sum, i); j >= 0; j = NextReader(function, sum, j)) {
    const Op& reader = function.ops[j];
    if (reader.Is(proto::OP_NORM) && reader.inputs[0] == sum &&
        HasWeightsOf(ops.weights().of<NormWeight>(reader.node.object()), *type)) {
      return j;
    }
  }
  return -1;
}

}  // namespace

absl::Status FuseAddNorm(Function& function, OpRunner& ops) {
  for (int i = 0; i < static_cast<int>(function.ops.size()); ++i) {
    const int found = NormOf(function, i, ops);
    if (found < 0) continue;
    const Op norm = std::move(function.ops[found]);
    function.ops.erase(function.ops.begin() + found);
    Op& add = function.ops[i];
    add.code = Code::kAddNorm;
    add.node = norm.node;
    add.outputs.push_back(norm.outputs[0]);
  }
  return absl::OkStatus();
}

}  // namespace keel::ir
