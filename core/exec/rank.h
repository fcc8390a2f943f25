// One rank of a model: its part of the layers and of each of them, of the weights and of the cache, and
// how it runs a step.
#ifndef KEEL_CORE_EXEC_RANK_H_
#define KEEL_CORE_EXEC_RANK_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/choose.h"
#include "core/compile/program.h"
#include "core/exec/encoder.h"
#include "core/exec/interpreter.h"
#include "core/exec/options.h"
#include "core/exec/step.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/ops/ops.h"

namespace keel {

// Leaves one way to answer: vectors, with `pooling`, or logits. Adds the functions that the plugin left
// to the host, declaring what they use: "embed", from ids [N] to embeddings, and for logits "head", from
// hidden states, unless there is a logits function. Ties lm_head where the spec says so. Returns the
// object of the embedding.
uint32_t AddHostFunctions(bool pooling, proto::Graph* graph);

// Whom a rank works with; null: nobody. `tensor`: the ranks of its stage. `pipeline`: those of the
// other stages that have the same part, whose rank is the number of the stage.
struct RankLinks {
  Collectives* tensor = nullptr;
  Collectives* pipeline = nullptr;
};

inline Numerics NumericsOf(const ExecutorOptions& options) {
  return options.deterministic ? Numerics::kInvariant : Numerics::kFastest;
}

inline KvFormat KvFormatOf(const ExecutorOptions& options) {
  return {options.kv_dtype.value_or(options.dtype), options.block_size};
}

class Rank {
 public:
  // `attention`: by object - 1.
  static absl::StatusOr<std::unique_ptr<Rank>> Create(proto::Graph graph,
                                                      std::shared_ptr<const Weights> weights,
                                                      absl::Span<const AttentionChoice> attention,
                                                      const ExecutorOptions& options);

  OpRunner& ops() { return *ops_; }
  // Of a compiled step; zeros of another.
  StepTimes step_times() const { return program_ != nullptr ? program_->times() : StepTimes(); }
  // As Program::listing says, or why there is none.
  std::string listing() const {
    return program_ != nullptr ? program_->listing() : "nothing is compiled: " + not_compiled_;
  }

  // Logits [R, vocab] or vectors [P, size], f32, of the last stage; undefined of the others, which hand
  // on what lives at their end. Throws nothing.
  absl::StatusOr<at::Tensor> Step(const StepTensors& step, const RankLinks& links);

  // Null: there is none of `modality`.
  const Encoder* FindEncoder(const std::string& modality) const;
  // An encoder's run, as Executor::StartEncoding says. It goes on between steps. Throws nothing.
  absl::StatusOr<Encoder::Run> StartEncoding(const std::string& modality,
                                             absl::Span<const NamedTensors* const> items) const;

 private:
  Rank(proto::Graph graph, const ExecutorOptions& options);

  absl::Status Compile(const ExecutorOptions& options);
  absl::StatusOr<at::Tensor> Run(const StepTensors& step, Collectives* pipeline);
  absl::StatusOr<at::Tensor> RunProgram(const StepTensors& step, Collectives* pipeline);
  // What the step gives under the name of one of its inputs.
  absl::StatusOr<at::Tensor> InputOf(const std::string& name, const StepTensors& step,
                                     Collectives* pipeline);
  absl::StatusOr<at::Tensor> Embed(const StepTensors& step);
  absl::StatusOr<at::Tensor> PositionsOf(const StepTensors& step) const;
  // Rows `number` of the features, zeros for other tokens.
  absl::StatusOr<at::Tensor> FeaturesOf(const StepTensors& step, int64_t number) const;
  absl::StatusOr<std::vector<at::Tensor>> Forward(const StepTensors& step, Collectives* pipeline);
  absl::StatusOr<at::Tensor> Logits(const at::Tensor& hidden);
  absl::StatusOr<at::Tensor> Pool(const at::Tensor& hidden, absl::Span<const PooledRows> rows);
  absl::StatusOr<std::vector<at::Tensor>> ForwardInputs(const StepTensors& step,
                                                        Collectives* pipeline);

  const proto::Graph graph_;
  const ExecMode mode_;
  const bool pooling_;
  const Numerics numerics_;
  const LiveModel live_;
  std::unique_ptr<OpRunner> ops_;
  std::unique_ptr<Program> program_;  // null: functions are run one by one
  std::string not_compiled_;          // why so
  std::optional<Interpreter> forward_;
  std::optional<Interpreter> embed_;          // of the first stage
  std::map<std::string, Encoder> encoders_;   // of the first stage, by the function's name
  std::optional<Interpreter> logits_, head_;  // one of them of the last, unless it pools
  std::optional<Interpreter> pool_;           // of the last, if it pools and there is one
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_RANK_H_
