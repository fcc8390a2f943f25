// Linears of one input, in one call.
#ifndef KEEL_CORE_COMPILE_LINEARS_CALL_H_
#define KEEL_CORE_COMPILE_LINEARS_CALL_H_

#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/operands.h"
#include "core/weights/weights.h"

namespace keel {

// Of a kLinears op. Borrows `weights`.
CallPtr MakeLinearsCall(const ir::Op& op, const Operands& operands, const Weights& weights);

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_LINEARS_CALL_H_
