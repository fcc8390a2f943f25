// Puts together what a processor made of several items of media, so that one call of an encoder makes the features of all of
// them, one item's after the other's: by the rules that the model's spec has for each input (KEEL_MERGE_* of
// sdk/abi/plugin.h).
#ifndef KEEL_CORE_GRAPH_MERGE_INPUTS_H_
#define KEEL_CORE_GRAPH_MERGE_INPUTS_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/host_tensor.h"

namespace keel {

// Whether every input of `encode`, a function of a verified graph with that spec, has a rule. If not, a call takes one item.
bool CanMergeInputs(const proto::ModelSpec& spec, const proto::Function& encode);

// Where it can: the inputs of `items`, one or more, as one item's. INVALID_ARGUMENT: as CheckInputs says of each item, items
// whose tensors have different types, borders or indices that are none of their item's.
absl::StatusOr<NamedTensors> MergeInputs(const proto::ModelSpec& spec,
                                         const proto::Function& encode,
                                         absl::Span<const NamedTensors* const> items);

}  // namespace keel

#endif  // KEEL_CORE_GRAPH_MERGE_INPUTS_H_
