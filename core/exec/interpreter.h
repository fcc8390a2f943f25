// Runs a recorded function node by node. Needs nothing but the graph: the plugin that was recorded
// may be gone.
#ifndef KEEL_CORE_EXEC_INTERPRETER_H_
#define KEEL_CORE_EXEC_INTERPRETER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/exec/ops.h"
#include "core/graph/graph.pb.h"

namespace keel {

class Interpreter {
 public:
  // Checks that values are numbered as graph.proto says and used after they are made, and finds
  // where each is last used. `function` is borrowed.
  static absl::StatusOr<Interpreter> Create(const proto::Function& function);

  const proto::Function& function() const { return *function_; }

  // `inputs` in the order of the function's. A value is freed after its last use.
  absl::StatusOr<std::vector<at::Tensor>> Run(OpExecutor& ops,
                                              absl::Span<const at::Tensor> inputs) const;

 private:
  explicit Interpreter(const proto::Function& function) : function_(&function) {}

  absl::Status Plan();

  const proto::Function* function_;
  uint32_t num_values_ = 0;
  std::vector<std::vector<uint32_t>> dead_after_;  // by node: values that nothing needs any more
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_INTERPRETER_H_
