// Types of the ops that take named arguments: recurrences, and what the host knows of attention's.
#ifndef KEEL_CORE_GRAPH_INFER_ARGS_H_
#define KEEL_CORE_GRAPH_INFER_ARGS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"

namespace keel {

// The named arguments of an OP_ATTENTION or OP_RECUR.
class NamedArgs {
 public:
  // Both are borrowed; `inputs` are the types of all the node's operands.
  NamedArgs(const proto::Node& node, absl::Span<const TensorType* const> inputs);

  bool Has(absl::string_view name) const { return IndexOf(name) >= 0; }
  // The type of a tensor argument; null if it is not given or a number.
  const TensorType* Tensor(absl::string_view name) const;
  // An error for a name that is none of `known`, or one given twice.
  absl::Status ExpectOnly(absl::Span<const absl::string_view> known) const;

 private:
  int IndexOf(absl::string_view name) const;

  const proto::Node& node_;
  const absl::Span<const TensorType* const> inputs_;
  const int fixed_;  // operands before the arguments
  const int skip_;   // integers before the arguments' positions
};

// The type of what a recurrence gives; its arguments are in sdk/abi/plugin.h, KEEL_RECUR_*.
absl::StatusOr<TensorType> InferRecurrence(const proto::State& state, const proto::Node& node,
                                           absl::Span<const TensorType* const> inputs);

// The arguments of attention that have one meaning for every implementation.
absl::Status CheckAttentionArgs(const proto::Attention& attention, const NamedArgs& args);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_INFER_ARGS_H_
