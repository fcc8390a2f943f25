// The attentions of one rank: an instance each, what they keep in the cache, and what the calls of a
// step share.
#ifndef KEEL_CORE_OPS_ATTENTION_LAYERS_H_
#define KEEL_CORE_OPS_ATTENTION_LAYERS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/attention.h"
#include "core/attention/choose.h"
#include "core/cache/kv_cache.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/ops/graph_attention.h"
#include "core/ops/latent.h"
#include "core/ops/step_context.h"
#include "core/tensor/dtype.h"
#include "core/weights/weights.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Not thread-safe.
class AttentionLayers {
 public:
  // `choices` is what ChooseAttentions found, by object - 1. `graph` is borrowed; of `weights`, what
  // latent attention needs is copied. Errors name the attention.
  static absl::StatusOr<AttentionLayers> Create(const proto::Graph& graph, const Weights& weights,
                                                absl::Span<const AttentionChoice> choices,
                                                DType dtype, KvFormat kv, Numerics numerics);

  // kv_layers() of these choices, before there are weights.
  static absl::StatusOr<std::vector<KvLayerSpec>> KvLayersOf(
      const proto::Graph& graph, absl::Span<const AttentionChoice> choices, DType dtype,
      KvFormat kv);

  // What the layers keep: those without a cache, or with another layer's, are left out; those that the
  // graph declares and does not run are elsewhere.
  std::vector<KvLayerSpec> kv_layers() const;

  // How a layer's attention can be computed by RunPagedAttention (core/kernels/paged_attention.h): the host's `paged`,
  // over rows of keys and values that are as the model's.
  struct Paged {
    const keel_attention_desc* desc = nullptr;
    int32_t layer = 0;    // whose rows in the cache
    bool writes = false;  // its own, or another layer's
  };
  // nullopt: it is another implementation, or more than that kernel.
  std::optional<Paged> paged(uint32_t object) const;

  void BeginStep();

  // Runs OP_ATTENTION. `step` is null outside of one. Throws c10::Error.
  absl::StatusOr<at::Tensor> Run(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                                 const StepContext* step, KvCache& cache);

 private:
  struct Layer {
    keel_attention_desc desc = {};
    const AttentionImplementation* implementation = nullptr;  // null: it is no attention
    std::unique_ptr<AttentionInstance> instance = {};
    size_t plan = 0;                      // which of plans_ it shares
    std::optional<LatentUp> latent = {};  // of latent attention: around the instance
    bool may_expand = false;              // its latents, by what the host's own implementations do
  };
  struct Plan {
    bool is_made = false;
    at::Tensor memory = {};
  };

  // All but what weights are needed for.
  static absl::StatusOr<AttentionLayers> Prepare(const proto::Graph& graph,
                                                 absl::Span<const AttentionChoice> choices,
                                                 DType dtype, KvFormat kv);
  explicit AttentionLayers(const proto::Graph& graph) : graph_(&graph) {}
  const Layer* Owner(const Layer& layer) const;
  absl::Status CheckShared(const Layer& layer) const;
  void SharePlans();
  // Fills call.out for latent attention with queries `q`, by the instance or expanded.
  absl::Status RunLatent(const Layer& layer, const at::Tensor& q, AttentionCall& call) const;
  absl::Status FillFromCache(const Layer& layer, const StepContext* step, KvCache& cache,
                             AttentionCall& call);

  const proto::Graph* graph_;
  std::vector<std::shared_ptr<const AttentionImplementation>> implementations_;  // kept alive
  std::vector<Layer> layers_;                                                    // by object - 1
  std::vector<Plan> plans_;
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_ATTENTION_LAYERS_H_
