// Packs a model's linears for the kernels when it is loaded: on all threads, once, or not at all where a former run left
// the packed bytes in the cache.
#ifndef KEEL_CORE_WEIGHTS_PACK_H_
#define KEEL_CORE_WEIGHTS_PACK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/dtype.h"
#include "core/weights/quantization.h"
#include "core/weights/weight_cache.h"
#include "core/weights/weights.h"

namespace keel {

struct PackOptions {
  DType dtype = DType::kF32;  // of activations, and of weights that are not quantized
  Quantization quantization = Quantization::kNone;
  WeightCache* cache = nullptr;                    // borrowed; null: nothing is kept
  int64_t least_cached_bytes = int64_t{64} << 20;  // less is packed in no time
  // Which of the model's weights these are, "rank 1 of 2": others are found under another key.
  std::string part = {};
  // How they were cut from the checkpoint's: others of the same sizes may be other rows.
  std::string splits = {};
  // Told the packed bytes that are there and those of all; may be null.
  std::function<void(int64_t done, int64_t total)> on_bytes = {};
};

struct Packed {
  std::shared_ptr<const Weights> weights;
  int64_t bytes = 0;  // of the packed linears
  bool from_cache = false;
  std::vector<std::string> warnings;  // what a user should know
};

// `weights`, which LoadWeights and ShardWeights made of `graph`, with each linear and each expert's packed, and their
// pages of the checkpoint out of the process's memory. What the cache does not have is packed, and handed to it if it is
// much. Errors: RESOURCE_EXHAUSTED, no memory.
absl::StatusOr<Packed> PackLinears(const proto::Graph& graph,
                                   std::shared_ptr<const Weights> weights,
                                   const PackOptions& options);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_PACK_H_
