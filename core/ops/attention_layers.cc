#include "core/ops/attention_layers.h"

#include <ATen/ops/empty.h>

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attention/dense.h"
#include "core/attention/paged.h"
#include "core/base/status.h"
#include "core/graph/sharding.h"
#include "core/ops/args.h"
#include "core/ops/graph_attention.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

bool HasCache(const keel_attention_desc& desc) { return desc.kind != KEEL_ATTENTION_ENCODER; }
bool Shares(const keel_attention_desc& desc) { return desc.flags & KEEL_ATTENTION_SHARE_KV; }
int32_t CacheLayer(const keel_attention_desc& desc) {
  return Shares(desc) ? desc.kv_share_layer : desc.layer;
}

// All of a desc but the layer: what plans depend on, with the blocks, which go by window and chunk.
auto PlanKey(const keel_attention_desc& d) {
  return std::make_tuple(d.kind, d.heads, d.kv_heads, d.qk_dim, d.v_dim, d.window, d.chunk,
                         d.kv_lora_rank, d.rope_dim, d.scale, d.softcap);
}

}  // namespace

absl::StatusOr<AttentionLayers> AttentionLayers::Prepare(const proto::Graph& graph,
                                                         absl::Span<const AttentionChoice> choices,
                                                         DType dtype, KvFormat kv) {
  AttentionLayers out(graph);
  for (int i = 0; i < graph.declarations_size(); ++i) {
    Layer& layer = out.layers_.emplace_back();
    const proto::Declaration& d = graph.declarations(i);
    if (!d.has_attention()) continue;
    layer.desc = DescOf(d.attention());
    layer.implementation = choices[i].implementation.get();
    out.implementations_.push_back(choices[i].implementation);
    auto instance = layer.implementation->Prepare(
        UseOf(graph, static_cast<uint32_t>(i + 1), layer.desc, dtype, kv));
    if (!instance.ok()) return Annotate(instance.status(), d.name());
    layer.instance = *std::move(instance);
  }
  for (int i = 0; i < graph.declarations_size(); ++i)
    KEEL_RETURN_IF_ERROR(Annotate(out.CheckShared(out.layers_[i]), graph.declarations(i).name()));
  out.SharePlans();
  return out;
}

absl::StatusOr<AttentionLayers> AttentionLayers::Create(const proto::Graph& graph,
                                                        const Weights& weights,
                                                        absl::Span<const AttentionChoice> choices,
                                                        DType dtype, KvFormat kv,
                                                        Numerics numerics) {
  KEEL_ASSIGN_OR_RETURN(AttentionLayers out, Prepare(graph, choices, dtype, kv));
  const std::vector<bool> used = UsedObjects(graph);  // others are another stage's
  for (int i = 0; i < graph.declarations_size(); ++i) {
    const proto::Attention& attention = graph.declarations(i).attention();
    if (attention.kind() != proto::Attention::MLA || !used[i]) continue;
    Layer& layer = out.layers_[i];
    KEEL_RETURN_IF_ERROR(CatchAten([&]() -> absl::Status {
      layer.latent.emplace(attention, weights.of<LinearPtr>(attention.kv_up()),
                           *ToScalarType(dtype), numerics);
      const std::string& name = choices[i].name;
      layer.may_expand = numerics == Numerics::kFastest && attention.window() == 0 &&
                         attention.chunk() == 0 && (name == "paged" || name == "sdpa");
      return absl::OkStatus();
    }));
  }
  return out;
}

absl::StatusOr<std::vector<KvLayerSpec>> AttentionLayers::KvLayersOf(
    const proto::Graph& graph, absl::Span<const AttentionChoice> choices, DType dtype,
    KvFormat kv) {
  KEEL_ASSIGN_OR_RETURN(const AttentionLayers layers, Prepare(graph, choices, dtype, kv));
  return layers.kv_layers();
}

const AttentionLayers::Layer* AttentionLayers::Owner(const Layer& layer) const {
  for (const Layer& other : layers_) {
    if (other.instance != nullptr && HasCache(other.desc) && !Shares(other.desc) &&
        other.desc.layer == layer.desc.kv_share_layer) {
      return &other;
    }
  }
  return nullptr;
}

absl::Status AttentionLayers::CheckShared(const Layer& layer) const {
  if (layer.instance == nullptr || !HasCache(layer.desc) || !Shares(layer.desc))
    return absl::OkStatus();
  const Layer* owner = Owner(layer);
  const AttentionCache cache = layer.instance->cache();
  if (owner != nullptr && owner->instance->cache() == cache &&
      (cache.own.empty() || owner->implementation == layer.implementation)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "shares keys and values of layer ", layer.desc.kv_share_layer,
      ", which another attention implementation keeps in its own way; give both layers "
      "the same one"));
}

void AttentionLayers::SharePlans() {
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].instance == nullptr) continue;
    size_t same = 0;
    while (same < i && (layers_[same].implementation != layers_[i].implementation ||
                        PlanKey(layers_[same].desc) != PlanKey(layers_[i].desc))) {
      ++same;
    }
    if (same < i) {
      layers_[i].plan = layers_[same].plan;
    } else {
      layers_[i].plan = plans_.size();
      plans_.emplace_back();
    }
  }
}

std::vector<KvLayerSpec> AttentionLayers::kv_layers() const {
  std::vector<KvLayerSpec> specs;
  const std::vector<bool> used = UsedObjects(*graph_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    if (layer.instance == nullptr || !HasCache(layer.desc) || Shares(layer.desc)) continue;
    AttentionCache cache = layer.instance->cache();
    const keel_attention_desc& d = layer.desc;
    specs.push_back({d.layer, d.kv_heads, d.qk_dim, d.v_dim, d.window, d.chunk, cache.has_rows,
                     std::move(cache.own), layer.latent.has_value(), used[i]});
  }
  return specs;
}

void AttentionLayers::BeginStep() {
  for (Plan& plan : plans_) plan = {};
}

absl::Status AttentionLayers::FillFromCache(const Layer& layer, const StepContext* step,
                                            KvCache& cache, AttentionCall& call) {
  if (step == nullptr || cache.groups()[0].num_blocks == 0) {
    return absl::FailedPreconditionError("attention runs outside of a step or without a cache");
  }
  const int32_t kept = CacheLayer(layer.desc);
  call.metadata = &step->metadata[cache.group(kept)];
  call.k_cache = cache.keys(kept);
  call.v_cache = cache.values(kept);
  call.k_scales = cache.key_scales(kept);
  call.v_scales = cache.value_scales(kept);
  call.own_caches = cache.own(kept);
  Plan& plan = plans_[layer.plan];
  if (!plan.is_made) {
    KEEL_ASSIGN_OR_RETURN(plan.memory, layer.instance->Plan(call));
    plan.is_made = true;
  }
  call.plan = plan.memory;
  if (Shares(layer.desc)) return absl::OkStatus();
  if (call.k_cache.defined()) cache.Write(kept, call.k, call.v, call.metadata->slots);
  return call.own_caches.empty() ? absl::OkStatus() : layer.instance->Write(call);
}

absl::StatusOr<at::Tensor> AttentionLayers::Run(const proto::Node& node,
                                                absl::Span<const at::Tensor> inputs,
                                                const StepContext* step, KvCache& cache) {
  const Layer& layer = layers_[node.object() - 1];
  const std::vector<NamedArg> args = ReadArgs(node, inputs);
  AttentionCall call;
  call.desc = &layer.desc;
  call.q = inputs[0];
  call.k = layer.latent ? LatentUp::Keys(inputs[1], inputs[2]) : inputs[1];
  call.v = layer.latent ? call.k.narrow(2, 0, layer.desc.v_dim) : inputs[2];
  call.args = args;
  if (HasCache(layer.desc)) {
    KEEL_RETURN_IF_ERROR(FillFromCache(layer, step, cache, call));
  } else if (step != nullptr) {
    call.sequences = step->cu_q;
  }
  if (layer.latent) {
    KEEL_RETURN_IF_ERROR(RunLatent(layer, inputs[0], call));
  } else {
    call.out = at::empty({call.q.size(0), layer.desc.heads, layer.desc.v_dim}, call.q.options());
    KEEL_RETURN_IF_ERROR(layer.instance->Run(call));
  }
  return call.out;
}

std::optional<AttentionLayers::Paged> AttentionLayers::paged(uint32_t object) const {
  const Layer& layer = layers_[object - 1];
  if (layer.latent || layer.desc.kind != KEEL_ATTENTION_CAUSAL ||
      dynamic_cast<const PagedCacheAttention*>(layer.implementation) == nullptr) {
    return std::nullopt;
  }
  return Paged{&layer.desc, CacheLayer(layer.desc), !Shares(layer.desc)};
}

absl::Status AttentionLayers::RunLatent(const Layer& layer, const at::Tensor& q,
                                        AttentionCall& call) const {
  const LatentUp& up = *layer.latent;
  const auto absorbed = [&](AttentionCall part) -> absl::StatusOr<at::Tensor> {
    part.q = up.Queries(part.q);
    part.out = at::empty({part.q.size(0), layer.desc.heads, layer.desc.v_dim}, part.q.options());
    KEEL_RETURN_IF_ERROR(layer.instance->Run(part));
    return up.Outputs(part.out);
  };
  const int32_t* cu_q = call.metadata->cu_q.const_data_ptr<int32_t>();
  const int32_t* keys = call.metadata->seq_lens.const_data_ptr<int32_t>();
  const int64_t sequences = call.metadata->num_sequences();
  const auto expands = [&](int64_t s) {
    return layer.may_expand && call.Find("sinks") == nullptr &&
           up.ShouldExpand(cu_q[s + 1] - cu_q[s], keys[s]);
  };
  int64_t end = 0;
  while (end < sequences && !expands(end)) ++end;
  if (end == sequences) {
    KEEL_ASSIGN_OR_RETURN(call.out, absorbed(call));
    return absl::OkStatus();
  }
  call.out = at::empty({q.size(0), layer.desc.heads, up.v_dim()}, q.options());
  for (int64_t begin = 0; begin < sequences; begin = end) {
    end = begin + 1;
    if (expands(begin)) {
      up.RunExpanded(call, begin);
      continue;
    }
    while (end < sequences && !expands(end)) ++end;
    AttentionMetadata metadata;
    const AttentionCall part = SliceSequences(call, begin, end, &metadata);
    KEEL_ASSIGN_OR_RETURN(const at::Tensor out, absorbed(part));
    part.out.copy_(out);
  }
  return absl::OkStatus();
}

}  // namespace keel
