// Passes over the function of a step. Each is a file of this folder, has a name, keeps what the function computes, and
// may be left out.
#ifndef KEEL_CORE_COMPILE_PASS_H_
#define KEEL_CORE_COMPILE_PASS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/compile/ir.h"
#include "core/ops/ops.h"

namespace keel::ir {

struct Pass {
  const char* name;
  absl::Status (*run)(Function& function, OpRunner& ops);
};

// In the order in which they run.
absl::Span<const Pass> Passes();

// INVALID_ARGUMENT: there is no pass of such a name.
absl::Status CheckPassNames(absl::Span<const std::string> names);

// Runs all but `disabled`; INVALID_ARGUMENT likewise.
absl::Status RunPasses(absl::Span<const std::string> disabled, OpRunner& ops, Function& function);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_PASS_H_
