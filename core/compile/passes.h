// The passes by name; pass.h has their order, each file says what its own does.
#ifndef KEEL_CORE_COMPILE_PASSES_H_
#define KEEL_CORE_COMPILE_PASSES_H_

#include "absl/status/status.h"
#include "core/compile/ir.h"
#include "core/ops/ops.h"

namespace keel::ir {

absl::Status FoldConstants(Function& function, OpRunner& ops);
absl::Status GatherEarly(Function& function, OpRunner& ops);
absl::Status GroupLinears(Function& function, OpRunner& ops);
absl::Status FuseResidual(Function& function, OpRunner& ops);
absl::Status FuseAddNorm(Function& function, OpRunner& ops);
absl::Status FuseActMul(Function& function, OpRunner& ops);
absl::Status SplitMixtures(Function& function, OpRunner& ops);
absl::Status PagedAttention(Function& function, OpRunner& ops);
absl::Status FuseRopeWrite(Function& function, OpRunner& ops);
absl::Status RemoveDead(Function& function, OpRunner& ops);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_PASSES_H_
