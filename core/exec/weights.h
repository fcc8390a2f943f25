// The tensors that a model's declarations name, found in a checkpoint.
//
// A tensor of the wanted type is used where it lies in the mapped file, without a copy; others are
// cast. With several ranks, each gets views of its shards.
#ifndef KEEL_CORE_EXEC_WEIGHTS_H_
#define KEEL_CORE_EXEC_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/graph/sharding.h"
#include "core/tensor/dtype.h"

namespace keel {

// What one declaration owns; what it has no use for is undefined.
struct ObjectWeights {
  at::Tensor weight;  // linear [out, in], embedding [rows, size], norm [size] with weight_offset
                      // added, conv [out, in / groups, kernel...], param
  at::Tensor bias;
  // MoE, one entry an expert.
  std::vector<at::Tensor> gate, up, down, gate_bias, up_bias, down_bias;
  at::Tensor score_bias;
};

struct Weights {
  std::vector<ObjectWeights> objects;            // object i is objects[i - 1]
  std::vector<std::string> warnings;             // tensors of the checkpoint that nothing uses
  std::shared_ptr<const Checkpoint> checkpoint;  // what views point into

  const ObjectWeights& of(uint32_t object) const { return objects[object - 1]; }
};

// Loads what `graph` declares as `dtype` (params: as they declare). Errors:
//   kNotFound         the first five tensors that are missing, and how many more
//   kInvalidArgument  a tensor whose shape is not what its declaration says, with both
// `on_bytes` (may be null) is told the bytes done and in all.
absl::StatusOr<std::shared_ptr<const Weights>> LoadWeights(
    const proto::Graph& graph, std::shared_ptr<const Checkpoint> checkpoint, DType dtype,
    const std::function<void(int64_t done, int64_t total)>& on_bytes);

// The part of `whole` that `rank` of `ranks` runs on: views, but for biases of column splits, which
// rank 0 alone keeps. With one rank, `whole` itself.
absl::StatusOr<std::shared_ptr<const Weights>> ShardWeights(std::shared_ptr<const Weights> whole,
                                                            absl::Span<const WeightSplit> splits,
                                                            int rank, int ranks);

}  // namespace keel

#endif  // KEEL_CORE_EXEC_WEIGHTS_H_
