// The types of a node's outputs from its operands: the one place that knows what each op takes and
// gives. The recorder asks it while a plugin's forward runs, the verifier asks it again for a graph
// from a file.
#ifndef KEEL_CORE_GRAPH_INFER_H_
#define KEEL_CORE_GRAPH_INFER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"

namespace keel {

// `node` needs op, object and attributes; `inputs` are the types of its inputs, in order; a missing
// operand (value 0) has a null entry. An error says what the op got and what it expected, without
// naming the node.
absl::StatusOr<std::vector<TensorType>> InferTypes(const proto::Graph& graph,
                                                   const proto::Node& node,
                                                   absl::Span<const TensorType* const> inputs);

// "linear model.layers.0.self_attn.q_proj", for messages.
std::string NodeName(const proto::Graph& graph, const proto::Node& node);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_INFER_H_
