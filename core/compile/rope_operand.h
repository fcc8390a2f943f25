// The cosines and sines of a rope at a step's positions.
#ifndef KEEL_CORE_COMPILE_ROPE_OPERAND_H_
#define KEEL_CORE_COMPILE_ROPE_OPERAND_H_

#include <cstdint>
#include <optional>

#include "core/compile/ir.h"
#include "core/compile/operands.h"
#include "core/ops/ops.h"

namespace keel {

class RopeOperand {
 public:
  // Of rope `object` over x [N, heads, size] at `positions`; nullopt: not what RopeRows computes, or positions
  // that a model computes. Borrows `ops`.
  static std::optional<RopeOperand> Of(uint32_t object, ir::ValueId positions, const ir::Value& x,
                                       const Operands& operands, OpRunner& ops);

  // Computed once a step, whatever asks for it. Throws c10::Error.
  CosSin Table(const Frame& frame) { return ops_->RopeTable(object_, frame.inputs[input_], type_); }

  // Pairs of a head that are rotated.
  int64_t half() const { return half_; }

 private:
  OpRunner* ops_ = nullptr;
  uint32_t object_ = 0;
  int64_t half_ = 0;
  int input_ = 0;
  at::ScalarType type_ = at::ScalarType::Float;
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_ROPE_OPERAND_H_
