// Runs a model: owns its weights and its KV cache, turns a packed batch into logits or vectors.
//
// One executor a model, whatever the number of ranks: with tensor parallelism it drives its ranks, with pipeline
// parallelism those of each stage, and returns the logits of the last stage's first rank (docs/parallel.md). Not
// thread-safe: one step at a time.
#ifndef KEEL_CORE_EXEC_EXECUTOR_H_
#define KEEL_CORE_EXEC_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/cache/block_allocator.h"
#include "core/cache/cache_layout.h"
#include "core/checkpoint/checkpoint.h"
#include "core/compile/frame.h"
#include "core/exec/batch.h"
#include "core/exec/features.h"
#include "core/exec/options.h"
#include "core/graph/graph.pb.h"
#include "core/graph/weight_counts.h"
#include "core/tensor/host_tensor.h"

namespace at {
class Tensor;
}

namespace keel {

class AttentionRegistry;

// An attention implementation that a model runs with, and why.
struct AttentionInUse {
  std::string name;    // "paged"
  std::string reason;  // "--attention-implementation"

  bool operator==(const AttentionInUse&) const = default;
};

struct LoadReport {
  std::vector<AttentionInUse> attention;  // each once, in order of declarations
  std::vector<std::string> warnings;      // what a user should know
  // With print_graph: of each stage, what a rank of it runs, before and after the passes of a compiled step; or why
  // nothing was compiled.
  std::vector<std::string> graphs = {};
  WeightCounts weights = {};       // over all ranks
  int64_t packed_bytes = 0;        // of linears, over all ranks
  bool packed_from_cache = false;  // all of them were mapped, none was packed
};

// Features of items of media that are being made. Steps may run in between; the executor outlives it.
class Encoding {
 public:
  virtual ~Encoding() = default;

  // Goes on for about `limit`, and does some work at least. The features of each item; empty: it is not done. An error
  // ends it.
  virtual absl::StatusOr<FeatureList> Advance(absl::Duration limit) = 0;
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

  // Runs one step. Returns logits [batch.logit_rows.size(), vocab], or with ExecutorOptions::pooling vectors
  // [batch.pooled.size(), size]; f32, on the CPU, contiguous; they stay valid until the next Step. INVALID_ARGUMENT
  // for a batch that doesn't hold together (a broken caller).
  virtual absl::StatusOr<at::Tensor> Step(const Batch& batch) = 0;

  // Whether the encoder of `modality` ("image") takes several items in a call: not where their features would hang on
  // each other's in the last bits, and that is not wanted.
  virtual bool EncodesTogether(const std::string& modality) const;
  // Begins to make features of `items` of media, in the model's type: what the encoder of `modality` makes of each one's
  // inputs, a processor's by the names of the graph, borrowed. Needs no cache. INVALID_ARGUMENT: inputs that are not
  // what it declares; UNIMPLEMENTED: it has no such encoder, or one that takes one item.
  virtual absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding(
      const std::string& modality, absl::Span<const NamedTensors* const> items);
  // The same, to its end.
  absl::StatusOr<FeatureList> EncodeAll(const std::string& modality,
                                        absl::Span<const NamedTensors* const> items);
  // Of one item.
  absl::StatusOr<std::shared_ptr<const Features>> Encode(const std::string& modality,
                                                         const NamedTensors& inputs);

  // Of compiled steps with ExecutorOptions::measure_steps, over all ranks; zeros of others.
  virtual StepTimes step_times() const { return {}; }

  // What loading decided.
  const LoadReport& report() const { return report_; }

 protected:
  explicit Executor(LoadReport report = {}) : report_(std::move(report)) {}

 private:
  const LoadReport report_;
};

}  // namespace keel
#endif  // KEEL_CORE_EXEC_EXECUTOR_H_
