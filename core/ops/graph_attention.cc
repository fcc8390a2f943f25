#include "core/ops/graph_attention.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/ops/latent.h"

namespace keel {
namespace {

using proto::Declaration;

bool KeepsKeys(const Declaration& d) {
  return d.has_attention() && d.attention().kind() != proto::Attention::ENCODER &&
         d.attention().kv_share_layer() < 0;
}

// The arguments that functions give an attention, by object. An object may be called more than once.
std::vector<std::string> ArgNames(const proto::Graph& graph, uint32_t object) {
  std::vector<std::string> names;
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) {
      if (node.op() != proto::OP_ATTENTION || node.object() != object) continue;
      names.insert(names.end(), node.names().begin(), node.names().end());
    }
  }
  return names;
}

absl::Status CheckShares(const proto::Graph& graph, const proto::Attention& attention) {
  const int32_t layer = attention.kv_share_layer();
  if (layer < 0) return absl::OkStatus();
  for (const Declaration& d : graph.declarations()) {
    if (KeepsKeys(d) && d.attention().layer() == layer) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("shares keys and values of layer ", layer, ", which no attention keeps"));
}

}  // namespace

keel_attention_desc DescOf(const proto::Attention& declared) {
  const bool latent = declared.kind() == proto::Attention::MLA;
  const proto::Attention a = latent ? AttentionOverLatents(declared) : declared;
  keel_attention_desc desc = {};
  desc.struct_size = sizeof(desc);
  desc.kind = static_cast<uint32_t>(a.kind());
  desc.layer = a.layer();
  if (a.kv_share_layer() >= 0) {
    desc.flags = KEEL_ATTENTION_SHARE_KV;
    desc.kv_share_layer = a.kv_share_layer();
  }
  desc.heads = a.heads();
  desc.kv_heads = a.kv_heads();
  desc.qk_dim = a.qk_dim();
  desc.v_dim = a.v_dim();
  desc.window = a.window();
  desc.chunk = a.chunk();
  desc.kv_lora_rank = a.kv_lora_rank();
  desc.rope_dim = a.rope_dim();
  desc.scale = a.scale();
  desc.softcap = a.softcap();
  desc.impl = declared.impl().c_str();
  return desc;
}

std::vector<KvLayerSpec> KvLayers(const proto::Graph& graph) {
  std::vector<KvLayerSpec> specs;
  for (const Declaration& d : graph.declarations()) {
    if (!KeepsKeys(d)) continue;
    const bool latent = d.attention().kind() == proto::Attention::MLA;
    const proto::Attention a = latent ? AttentionOverLatents(d.attention()) : d.attention();
    specs.push_back(
        {a.layer(), a.kv_heads(), a.qk_dim(), a.v_dim(), a.window(), a.chunk(), latent});
  }
  return specs;
}

absl::StatusOr<std::vector<AttentionChoice>> ChooseAttentions(const proto::Graph& graph,
                                                              const AttentionWish& wish,
                                                              const AttentionRegistry& registry,
                                                              DType dtype, int64_t block_size) {
  std::vector<AttentionChoice> choices(graph.declarations_size());
  for (int i = 0; i < graph.declarations_size(); ++i) {
    const Declaration& d = graph.declarations(i);
    if (!d.has_attention()) continue;
    if (absl::Status status = CheckShares(graph, d.attention()); !status.ok())
      return Annotate(status, d.name());
    const keel_attention_desc desc = DescOf(d.attention());
    const bool encoder = d.attention().kind() == proto::Attention::ENCODER;
    auto choice = ChooseAttention(
        {&desc, dtype, encoder ? 0 : block_size, ArgNames(graph, static_cast<uint32_t>(i + 1))},
        wish, registry);
    if (!choice.ok()) return Annotate(choice.status(), d.name());
    choices[i] = *std::move(choice);
  }
  return choices;
}

}  // namespace keel
