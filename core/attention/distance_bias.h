// What a model adds to scores by how far a key is from the query: the arguments distance_bias,
// query_distance_bias and key_distance_bias (sdk/abi/plugin.h).
#ifndef KEEL_CORE_ATTENTION_DISTANCE_BIAS_H_
#define KEEL_CORE_ATTENTION_DISTANCE_BIAS_H_

#include <ATen/core/Tensor.h>

#include "core/attention/attention.h"
#include "core/attention/dense.h"

namespace keel {

inline constexpr char kDistanceBias[] = "distance_bias";
inline constexpr char kQueryDistanceBias[] = "query_distance_bias";
inline constexpr char kKeyDistanceBias[] = "key_distance_bias";

// [heads, Q, K] f32, or undefined if the call has none of the three. Throws c10::Error.
at::Tensor DistanceBias(const AttentionCall& call, const DenseSequence& sequence);

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_DISTANCE_BIAS_H_
