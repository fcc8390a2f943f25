#include "core/ops/graph_attention.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/ops/latent.h"

namespace keel {
namespace {

using proto::Declaration;

// The arguments that functions give an attention, by object. An object may be called more than once.
void FindArgs(const proto::Graph& graph, uint32_t object, AttentionUse& use) {
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) {
      if (node.op() != proto::OP_ATTENTION || node.object() != object) continue;
      const op::Arguments args(node);
      for (int i = 0; i < args.size(); ++i) {
        use.args.push_back(args.name(i));
        use.arg_flags.push_back(args.flags(i));
      }
    }
  }
}

// The modality of the encoder that calls it; "text" if none does.
std::string PartOf(const proto::Graph& graph, uint32_t object) {
  for (const proto::Function& function : graph.functions()) {
    absl::string_view modality = function.name();
    if (!absl::ConsumePrefix(&modality, "encode/")) continue;
    for (const proto::Node& node : function.nodes()) {
      if (node.op() == proto::OP_ATTENTION && node.object() == object) return std::string(modality);
    }
  }
  return "text";
}

absl::Status CheckShares(const proto::Graph& graph, const proto::Attention& attention) {
  const int32_t layer = attention.kv_share_layer();
  if (layer < 0) return absl::OkStatus();
  for (const Declaration& d : graph.declarations()) {
    const proto::Attention& other = d.attention();
    if (d.has_attention() && other.kind() != proto::Attention::ENCODER &&
        other.kv_share_layer() < 0 && other.layer() == layer) {
      return absl::OkStatus();
    }
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

AttentionUse UseOf(const proto::Graph& graph, uint32_t object, const keel_attention_desc& desc,
                   DType dtype, KvFormat kv) {
  AttentionUse use{.desc = &desc, .dtype = dtype};
  if (desc.kind != KEEL_ATTENTION_ENCODER) use.block_size = kv.block_size, use.kv_dtype = kv.dtype;
  use.part = PartOf(graph, object);
  FindArgs(graph, object, use);
  return use;
}

absl::StatusOr<std::vector<AttentionChoice>> ChooseAttentions(const proto::Graph& graph,
                                                              const AttentionWish& wish,
                                                              const AttentionRegistry& registry,
                                                              DType dtype, KvFormat kv) {
  std::vector<AttentionChoice> choices(graph.declarations_size());
  for (int i = 0; i < graph.declarations_size(); ++i) {
    const Declaration& d = graph.declarations(i);
    if (!d.has_attention()) continue;
    if (absl::Status status = CheckShares(graph, d.attention()); !status.ok())
      return Annotate(status, d.name());
    const keel_attention_desc desc = DescOf(d.attention());
    const uint32_t object = static_cast<uint32_t>(i + 1);
    auto choice = ChooseAttention(UseOf(graph, object, desc, dtype, kv), wish, registry);
    if (!choice.ok()) return Annotate(choice.status(), d.name());
    choices[i] = *std::move(choice);
  }
  return choices;
}

}  // namespace keel
