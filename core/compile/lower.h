// From a recorded function to ops over typed values.
#ifndef KEEL_CORE_COMPILE_LOWER_H_
#define KEEL_CORE_COMPILE_LOWER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/compile/ir.h"
#include "core/graph/graph.pb.h"
#include "core/ops/ops.h"

namespace keel::ir {

// Appends what `source`, a verified function of a rank's graph, computes of `arguments`, which are in order of its
// inputs. Returns its outputs. Views become layouts; parameters and constants, which `ops` has, become constants; marks
// are left out. UNIMPLEMENTED: a size of two symbols.
absl::StatusOr<std::vector<ValueId>> Lower(const proto::Function& source,
                                           absl::Span<const ValueId> arguments, OpRunner& ops,
                                           Function& function);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_LOWER_H_
