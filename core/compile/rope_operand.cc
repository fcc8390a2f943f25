#include "core/compile/rope_operand.h"

#include "core/kernels/kernel_type.h"
#include "core/ops/rope.h"
#include "core/tensor/aten.h"

namespace keel {

std::optional<RopeOperand> RopeOperand::Of(uint32_t object, ir::ValueId positions,
                                           const ir::Value& x, const Operands& operands,
                                           OpRunner& ops) {
  const proto::Rope& rope = ops.graph().declarations(static_cast<int>(object) - 1).rope();
  const TensorOperand at = operands.tensor(positions);
  const std::optional<at::ScalarType> type = ToScalarType(x.dtype());
  const bool lies_so = x.type.rank() == 3 && x.layout.strides[2].is(1) &&
                       !x.layout.strides[0].symbolic() && !x.layout.strides[1].symbolic();
  if (!IsPlainRope(rope) || !lies_so || at.input < 0 || !KernelTypeOf(*type).has_value())
    return std::nullopt;
  RopeOperand out;
  out.ops_ = &ops;
  out.object_ = object;
  out.half_ = rope.rotary_size() / 2;
  out.input_ = at.input;
  out.type_ = *type;
  return out;
}

}  // namespace keel
