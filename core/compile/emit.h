// From the ops of a function to calls: which kernel computes each, or that none does.
#ifndef KEEL_CORE_COMPILE_EMIT_H_
#define KEEL_CORE_COMPILE_EMIT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/memory_plan.h"
#include "core/ops/ops.h"

namespace keel {

// One call an op. All arguments are borrowed and outlive the calls.
absl::StatusOr<std::vector<CallPtr>> Emit(const ir::Function& function, const ir::MemoryPlan& plan,
                                          OpRunner& ops);

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_EMIT_H_
