// Calls of mixtures of experts: which experts a token goes to, and what they make of it.
#ifndef KEEL_CORE_COMPILE_EXPERT_CALLS_H_
#define KEEL_CORE_COMPILE_EXPERT_CALLS_H_

#include <cstdint>
#include <optional>

#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/operands.h"
#include "core/ops/ops.h"

namespace keel {

// Bytes a token that kExperts needs besides, of a recorded mixture, routed or not; nullopt: the kernels of kRoute and
// kExperts don't take its experts or its operands as they lie. The pass that makes those ops asks.
std::optional<int64_t> ExpertScratchOf(const ir::Function& function, const ir::Op& moe,
                                       OpRunner& ops);

// Of kRoute or kExperts. Borrows `ops`.
CallPtr MakeExpertCall(const ir::Op& op, const Operands& operands, OpRunner& ops);

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_EXPERT_CALLS_H_
