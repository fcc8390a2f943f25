// Decides whether a graph may be run. A graph is data from outside (a file, a plugin's recording):
// everything that the interpreter, sharding and the passes rely on is checked here and nowhere
// else.
#ifndef KEEL_CORE_GRAPH_VERIFIER_H_
#define KEEL_CORE_GRAPH_VERIFIER_H_

#include "absl/status/status.h"
#include "core/graph/graph.pb.h"

namespace keel {

// The newest opset that this host runs. It grows with every new meaning: ops (op_table.h says which came
// with it); a graph states the oldest that has its ops.
inline constexpr uint32_t kOpset = 3;

// Checks, naming the first node or declaration that fails:
//   - opset and sizes are within this host's limits; the spec is complete;
//   - declarations: unique names, ties to an object of the same kind and size, attention layers
//   each used once;
//   - values: defined once, in order, before use; types are what the ops give (inferred again);
//   - forward: inputs embeds, as wide as the embedding of tokens, and positions, one output
//   MODEL[N, hidden_size]; layer marks in order;
//   - nothing computed is dropped: every value but a top-k half reaches an output;
//   - what a step's values take at once is bounded (activations.h);
//   - rows of a batch don't mix in forward, logits and pool (rows.h).
absl::Status VerifyGraph(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_VERIFIER_H_
