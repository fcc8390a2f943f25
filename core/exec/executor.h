// Runs a model: owns its weights and its KV cache, turns a packed batch into logits.
//
// One executor a model, whatever the number of ranks: with tensor parallelism it drives its ranks and returns rank 0's
// logits. Not thread-safe: one step at a time.
#ifndef KEEL_CORE_EXEC_EXECUTOR_H_
#define KEEL_CORE_EXEC_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/cache/block_allocator.h"
#include "core/checkpoint/checkpoint.h"
#include "core/exec/batch.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/dtype.h"
#include "sdk/abi/plugin.h"

namespace at {
class Tensor;
}

namespace keel {

class AttentionRegistry;

struct CacheLayout {
  // Layers that keep their keys alike; blocks and copies name a group by its index here.
  struct Group {
    int64_t window = 0, chunk = 0;  // as in CacheGroup
    int64_t block_bytes = 0;        // of one block over its layers
  };
  std::vector<Group> groups;
  int64_t state_bytes = 0;  // of one sequence; 0: no recurrent layers
};

// How forward is run: the recorded graph, op by op through the plugin, or both compared at every op.
enum class ExecMode { kGraph, kEager, kShadow };

// A plugin's live model, needed by kEager and kShadow. Borrowed.
struct LiveModel {
  const keel_model_class* model_class = nullptr;
  const void* model = nullptr;
};

struct ExecutorOptions {
  ExecMode mode = ExecMode::kGraph;
  DType dtype = DType::kF32;    // type of weights and activations
  std::string attention = {};   // name in the registry; "": paged
  int32_t block_size = 16;      // tokens a cache block holds
  int32_t tensor_parallel = 1;  // ranks, run as threads
  LiveModel live = {};          // with kEager, kShadow
  // The logits of a sequence's token have the same bits whatever else is in its step and however its
  // prompt was cut into steps; slower. One CPU type: others round elsewhere.
  bool deterministic = false;
  std::function<void(int64_t done, int64_t total)> on_load_bytes = {};  // may be null
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Loads the weights that `graph`, a verified one (core/graph/verifier.h), declares. Errors name the tensor and the
  // file.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(
      proto::Graph graph, std::shared_ptr<const Checkpoint> checkpoint,
      const AttentionRegistry& attention, ExecutorOptions options);

  // What the model keeps of its sequences, over all ranks.
  virtual CacheLayout cache_layout() const = 0;
  // Allocates (again) a cache of `num_blocks` blocks for each group, contents undefined, and recurrent states for
  // `num_state_slots` sequences (ignored where the model has none). Must be called before Step.
  virtual absl::Status AllocateCache(absl::Span<const int32_t> num_blocks,
                                     int32_t num_state_slots) = 0;
  // Copies blocks and states, in order, before the step that needs them.
  virtual absl::Status Do(const CacheWork& work) = 0;

  // Runs one step. Returns logits [batch.logit_rows.size(), vocab] f32, on the CPU, contiguous; they stay valid until
  // the next Step. INVALID_ARGUMENT for a batch that doesn't hold together (a broken caller).
  virtual absl::StatusOr<at::Tensor> Step(const Batch& batch) = 0;

  // Of loading: what a user should know.
  const std::vector<std::string>& warnings() const { return warnings_; }

 protected:
  std::vector<std::string> warnings_;
};

}  // namespace keel
#endif  // KEEL_CORE_EXEC_EXECUTOR_H_
