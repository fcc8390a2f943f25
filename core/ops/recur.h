// OP_RECUR: layers that carry a state from token to token.
#ifndef KEEL_CORE_OPS_RECUR_H_
#define KEEL_CORE_OPS_RECUR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"

namespace keel {

// inputs: x, then the node's tensor arguments. `states` [slots, ...] is read and written in the slots of the step's S
// sequences, whose rows of x are [cu_q[i], cu_q[i + 1]). Returns what KEEL_RECUR_* says, in the type of x.
// kInvalidArgument: x has another number of rows than the step. Throws c10::Error.
absl::StatusOr<at::Tensor> RunRecurrence(const proto::Node& node,
                                         absl::Span<const at::Tensor> inputs,
                                         const at::Tensor& states,
                                         absl::Span<const int32_t> state_slots,
                                         absl::Span<const int32_t> cu_q);

}  // namespace keel

#endif  // KEEL_CORE_OPS_RECUR_H_
