// The types of recurrences from their operands and named arguments; see infer.h.
#ifndef KEEL_CORE_GRAPH_INFER_RECUR_H_
#define KEEL_CORE_GRAPH_INFER_RECUR_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"

namespace keel {

// The type of what the OP_RECUR `node` over `state` gives; its arguments are in sdk/abi/plugin.h, KEEL_RECUR_*.
// `inputs` are the types of all its operands.
absl::StatusOr<TensorType> InferRecurrence(const proto::State& state, const proto::Node& node,
                                           absl::Span<const TensorType* const> inputs);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_INFER_RECUR_H_
