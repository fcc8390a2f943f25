// Random weights for a graph, as a checkpoint: for the conformance kit and for tests of what runs a
// model.
#ifndef KEEL_CORE_WEIGHTS_RANDOM_CHECKPOINT_H_
#define KEEL_CORE_WEIGHTS_RANDOM_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/dtype.h"

namespace keel {

// Random values for every tensor that `graph` declares, by checkpoint name, f32. Includes what the
// host declares (embed_tokens, lm_head).
std::map<std::string, at::Tensor> RandomTensors(const proto::Graph& graph, int seed);

// Writes them as model.safetensors beside an empty config.json in `dir`, and opens it.
absl::StatusOr<std::unique_ptr<Checkpoint>> WriteCheckpoint(
    const std::string& dir, const std::map<std::string, at::Tensor>& tensors,
    DType dtype = DType::kF32);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_RANDOM_CHECKPOINT_H_
