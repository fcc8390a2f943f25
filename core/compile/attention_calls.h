// Calls of attention over the paged cache: what a step's tokens leave there, and what they find.
#ifndef KEEL_CORE_COMPILE_ATTENTION_CALLS_H_
#define KEEL_CORE_COMPILE_ATTENTION_CALLS_H_

#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/operands.h"
#include "core/ops/ops.h"

namespace keel {

// Whether kWriteKv can take these keys and values [N, kv_heads, D], and kAttend these queries and arguments, of
// attention `object`. The passes that make those ops ask.
bool CanWriteKv(const ir::Value& k, const ir::Value& v, uint32_t object, OpRunner& ops);
bool CanAttend(const ir::Function& function, const ir::Op& attention, OpRunner& ops);

// Of kWriteKv, kRopeWrite or kAttend. Borrows `ops`.
CallPtr MakeAttentionCall(const ir::Op& op, const Operands& operands, OpRunner& ops);

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_ATTENTION_CALLS_H_
