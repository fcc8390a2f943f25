// What each op of a graph does, on at::Tensor: the one implementation behind the interpreter and
// the eager table (semantics: sdk/abi/plugin.h; attributes: core/graph/graph.proto).
#ifndef KEEL_CORE_OPS_OPS_H_
#define KEEL_CORE_OPS_OPS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/choose.h"
#include "core/cache/kv_cache.h"
#include "core/cache/recurrent_states.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/ops/attention_layers.h"
#include "core/ops/graph_attention.h"
#include "core/ops/plugin_kernel.h"
#include "core/ops/rope.h"
#include "core/ops/step_context.h"
#include "core/parallel/collectives.h"
#include "core/tensor/dtype.h"
#include "core/weights/weights.h"

namespace keel {

// What the recurrent layers of `graph` carry.
std::vector<StateSpec> StateSpecs(const proto::Graph& graph, DType model_dtype);

// One rank's model: declarations and everything they own. Not thread-safe.
class OpRunner {
 public:
  // `attention` is what ChooseAttentions found, by object - 1; `kernels` are what CheckKernels passed.
  // `graph` is borrowed.
  static absl::StatusOr<std::unique_ptr<OpRunner>> Create(
      const proto::Graph& graph, std::shared_ptr<const Weights> weights,
      absl::Span<const AttentionChoice> attention, const PluginKernels& kernels, DType dtype,
      KvFormat kv, Numerics numerics);

  const proto::Graph& graph() const { return graph_; }
  const Weights& weights() const { return *weights_; }
  const AttentionLayers& attention() const { return attention_; }
  DType dtype() const { return dtype_; }
  KvCache& cache() { return cache_; }
  RecurrentStates& states() { return states_; }
  const PluginKernels& kernels() const { return kernels_.kernels(); }

  // For a rank's graph; borrowed. Without, the graph must have no collectives.
  void SetCollectives(Collectives* collectives) { collectives_ = collectives; }

  // Between BeginStep and EndStep ops see `step`.
  void BeginStep(const StepContext* step);
  void EndStep();

  // The rotation of rope `object` at these positions in this step, for x of that type. Valid until the step ends; the
  // same tensor of positions finds it again. Throws c10::Error.
  CosSin RopeTable(uint32_t object, const at::Tensor& positions, at::ScalarType type);

  // Runs one node; an absent operand is undefined. `outputs` gets as many tensors as the op has.
  // Errors name the op, its object and the operands' shapes. Throws nothing.
  absl::Status Run(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                   std::vector<at::Tensor>* outputs);

 private:
  OpRunner(const proto::Graph& graph, std::shared_ptr<const Weights> weights, DType dtype,
           Numerics numerics, AttentionLayers attention, KernelInstances kernels, KvCache cache,
           RecurrentStates states);

  absl::Status Dispatch(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                        std::vector<at::Tensor>* outputs);
  absl::StatusOr<at::Tensor> RunCollective(const proto::Node& node, const at::Tensor& x);
  absl::StatusOr<at::Tensor> RunObject(const proto::Node& node,
                                       absl::Span<const at::Tensor> inputs);
  at::Tensor RunRope(const proto::Node& node, const at::Tensor& x, const at::Tensor& positions);
  const proto::Declaration& DeclarationOf(const proto::Node& node) const;

  const proto::Graph& graph_;
  std::shared_ptr<const Weights> weights_;
  const DType dtype_;
  const Numerics numerics_;
  AttentionLayers attention_;
  KernelInstances kernels_;
  KvCache cache_;
  RecurrentStates states_;
  RopeTables rope_;
  const StepContext* step_ = nullptr;
  Collectives* collectives_ = nullptr;
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_OPS_H_
