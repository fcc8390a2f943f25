// Whether a step of a model fits into memory, before the first one is run.
#ifndef KEEL_CORE_MODEL_STEP_MEMORY_H_
#define KEEL_CORE_MODEL_STEP_MEMORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"

namespace keel {

// Bytes that the values of `graph`'s forward take at most in a step of `tokens`, at four an element:
// an upper bound, of a verified graph.
absl::StatusOr<int64_t> StepBytes(const proto::Graph& graph, int64_t tokens);

// RESOURCE_EXHAUSTED if that is more than the `available` bytes. A graph from outside may be a small
// file and ask for any amount.
absl::Status CheckStepMemory(int64_t step_bytes, int64_t tokens, int64_t available);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_STEP_MEMORY_H_
