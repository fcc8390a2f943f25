// One rank of a model: its graph, its part of the weights and of the cache, and how it runs a step.
#ifndef KEEL_CORE_EXEC_RANK_H_
#define KEEL_CORE_EXEC_RANK_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/choose.h"
#include "core/exec/interpreter.h"
#include "core/exec/options.h"
#include "core/exec/step.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/ops/ops.h"

namespace keel {

// The objects with which the host turns ids into embeddings, and hidden states into logits.
struct HostObjects {
  uint32_t embed_tokens = 0;
  uint32_t lm_head = 0;  // 0: the graph has a logits function
};

// Declares what the plugin left to the host; ties lm_head where the spec says so.
HostObjects AddHostObjects(proto::Graph* graph);

inline Numerics NumericsOf(const ExecutorOptions& options) {
  return options.deterministic ? Numerics::kInvariant : Numerics::kFastest;
}

class Rank {
 public:
  // `attention`: by object - 1.
  static absl::StatusOr<std::unique_ptr<Rank>> Create(proto::Graph graph, HostObjects objects,
                                                      std::shared_ptr<const Weights> weights,
                                                      absl::Span<const AttentionChoice> attention,
                                                      const ExecutorOptions& options);

  OpRunner& ops() { return *ops_; }

  // Logits [R, vocab], f32. `collectives` may be null. Throws nothing.
  absl::StatusOr<at::Tensor> Step(const StepTensors& step, Collectives* collectives);

 private:
  Rank(proto::Graph graph, HostObjects objects, const ExecutorOptions& options);

  absl::StatusOr<at::Tensor> Embed(const at::Tensor& token_ids);
  absl::StatusOr<at::Tensor> Forward(const StepTensors& step);
  absl::StatusOr<at::Tensor> Logits(const at::Tensor& hidden);
  absl::StatusOr<std::vector<at::Tensor>> ForwardInputs(const StepTensors& step);

  const proto::Graph graph_;
  const HostObjects objects_;
  const ExecMode mode_;
  const Numerics numerics_;
  const LiveModel live_;
  std::unique_ptr<OpRunner> ops_;
  std::optional<Interpreter> forward_, logits_;
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_RANK_H_
