// Runs a recorded function node by node. Needs nothing but the graph: the plugin that was recorded
// may be gone.
#ifndef KEEL_CORE_EXEC_INTERPRETER_H_
#define KEEL_CORE_EXEC_INTERPRETER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

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

  // `inputs` in the order of the function's. A value is freed after its last use.
  absl::StatusOr<std::vector<at::Tensor>> Run(OpRunner& ops,
                                              absl::Span<const at::Tensor> inputs) const;

 private:
  absl::StatusOr<proto::Node> WithSizes(const proto::Node& node,
                                        absl::Span<const at::Tensor> inputs) const;

  const proto::Function* function_;
  size_t num_values_ = 0;
  std::vector<std::vector<uint32_t>> dead_after_;  // by node: values that nothing needs any more
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_INTERPRETER_H_
