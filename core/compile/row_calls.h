// Calls of the row kernels: norms, rotations, sums, products and activations, and rows that are picked by number.
#ifndef KEEL_CORE_COMPILE_ROW_CALLS_H_
#define KEEL_CORE_COMPILE_ROW_CALLS_H_

#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/operands.h"
#include "core/ops/ops.h"

namespace keel {

// Of an op that was recorded, or kAddNorm, kGather. Null: no kernel takes its operands as they lie. Borrows `ops`.
CallPtr MakeRowCall(const ir::Op& op, const Operands& operands, OpRunner& ops);

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_ROW_CALLS_H_
