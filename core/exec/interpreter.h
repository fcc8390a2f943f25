// Runs a recorded function node by node. Needs nothing but the graph: the plugin that was recorded
// may be gone.
#ifndef KEEL_CORE_EXEC_INTERPRETER_H_
#define KEEL_CORE_EXEC_INTERPRETER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/ops/ops.h"

namespace keel {

class Interpreter {
 public:
  // Of a graph that was verified (core/graph/verifier.h); borrowed.
  explicit Interpreter(const proto::Function& function);

  const proto::Function& function() const { return *function_; }

  // A run that may stop between two nodes and go on later: what lives at that border.
  class Pass {
   public:
    // Whether all nodes have run.
    bool done() const { return next_ == interpreter_->function_->nodes_size(); }
    // Runs nodes until all have run, or, after at least one, until `stop` says so.
    absl::Status Continue(OpRunner& ops, absl::FunctionRef<bool()> stop);
    // Once it is done.
    std::vector<at::Tensor> TakeOutputs();

   private:
    friend class Interpreter;
    absl::Status RunNext(OpRunner& ops);

    const Interpreter* interpreter_ = nullptr;
    int next_ = 0;                    // node
    std::vector<at::Tensor> inputs_;  // held, so that no op takes their memory for its result
    std::vector<at::Tensor> values_;  // value i is values_[i]; 0: not given
    std::vector<at::Tensor> operands_, results_;
  };

  // `inputs` in the order of the function's. A value is freed after its last use.
  absl::StatusOr<std::vector<at::Tensor>> Run(OpRunner& ops,
                                              absl::Span<const at::Tensor> inputs) const;
  absl::StatusOr<Pass> Begin(absl::Span<const at::Tensor> inputs) const;

 private:
  absl::StatusOr<proto::Node> WithSizes(const proto::Node& node,
                                        absl::Span<const at::Tensor> inputs) const;

  const proto::Function* function_;
  size_t num_values_ = 0;
  std::vector<std::vector<uint32_t>> dead_after_;  // by node: values that nothing needs any more
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_INTERPRETER_H_
