// Bounds what the values of a function take while it runs: a graph from outside, which can repeat a
// row a million times, must not ask for any amount of memory.
#ifndef KEEL_CORE_GRAPH_ACTIVATIONS_H_
#define KEEL_CORE_GRAPH_ACTIVATIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"

namespace keel {

// Elements that are held at once, of values with a row for each token (or patch), for one of them,
// and of all other values but parameters and constants, whose bytes are in a file.
inline constexpr int64_t kMaxElementsARow = int64_t{1} << 22;
inline constexpr int64_t kMaxElementsBesides = int64_t{1} << 28;

struct HeldElements {
  int64_t a_row = 0, besides = 0;
};

// The most that `function` of `graph`, whose types have been verified, holds at once. A value is held
// from the node that makes it to its last use. kInvalidArgument names the node at which it would be
// more than the bounds above.
absl::StatusOr<HeldElements> MostHeld(const proto::Graph& graph, const proto::Function& function);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_ACTIVATIONS_H_
