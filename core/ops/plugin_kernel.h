// OP_CALL: kernels that the model's plugin brings.
#ifndef KEEL_CORE_OPS_PLUGIN_KERNEL_H_
#define KEEL_CORE_OPS_PLUGIN_KERNEL_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/cache/recurrent_states.h"
#include "core/graph/graph.pb.h"
#include "core/graph/plugin_kernels.h"
#include "core/kernels/numerics.h"
#include "core/ops/step_context.h"
#include "core/tensor/dtype.h"

namespace keel {

// Whether the classes that `graph` declares are there, run on a CPU, promise what the graph counts on
// and what the numerics need. Errors name the kernel.
absl::Status CheckKernels(const proto::Graph& graph, const PluginKernels& kernels,
                          Numerics numerics);

// The kernels of one rank, an instance each. Not thread-safe.
class KernelInstances {
 public:
  // `graph` and what `kernels` borrows outlive this.
  static absl::StatusOr<KernelInstances> Create(const proto::Graph& graph,
                                                const PluginKernels& kernels, DType dtype);
  KernelInstances(KernelInstances&&);
  ~KernelInstances();

  const PluginKernels& kernels() const { return kernels_; }

  // The node's types have no symbols: sizes are those of the run. `step` is null outside of one.
  // Throws c10::Error.
  absl::Status Run(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                   const StepContext* step, const RecurrentStates& states,
                   std::vector<at::Tensor>* outputs);

 private:
  class Instance;

  KernelInstances(const proto::Graph& graph, PluginKernels kernels, DType dtype);

  const proto::Graph* graph_;
  PluginKernels kernels_;
  DType dtype_;
  std::vector<std::unique_ptr<Instance>> instances_;  // by object - 1; null: it is no kernel
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_PLUGIN_KERNEL_H_
