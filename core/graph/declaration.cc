#include "core/graph/declaration.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr int64_t kMaxElements = int64_t{1} << 34;
constexpr int64_t kMaxExperts = 1 << 16;  // of one layer: each has weights with names of its own
constexpr int kMaxSections = 4;

struct Size {
  const char* field;
  int64_t value;
  const char* keys = "";  // of config.json, where families take it from
};

std::string SeeConfig(absl::string_view keys) {
  return keys.empty() ? std::string() : absl::StrCat("see ", keys, " in config.json");
}

absl::Status CheckSizes(std::initializer_list<Size> sizes) {
  for (const Size& size : sizes) {
    if (size.value >= 1 && size.value <= kMaxDeclaredSize) continue;
    return Bad(absl::StrCat(size.field, " is ", size.value), "1 to 2^30", SeeConfig(size.keys));
  }
  return absl::OkStatus();
}

absl::Status CheckNotNegative(std::initializer_list<Size> sizes) {
  for (const Size& size : sizes) {
    if (size.value >= 0 && size.value <= kMaxDeclaredSize) continue;
    return Bad(absl::StrCat(size.field, " is ", size.value), "0 to 2^30", SeeConfig(size.keys));
  }
  return absl::OkStatus();
}

// An enumeration of plugin.h, `first` to `last`.
absl::Status CheckKind(const char* field, int64_t value, const char* family, int64_t first,
                       int64_t last, const char* keys = "") {
  if (value >= first && value <= last) return absl::OkStatus();
  return Bad(absl::StrCat(field, " is ", value),
             absl::StrCat(family, ", ", first, " to ", last, " in this host"), SeeConfig(keys));
}

absl::Status CheckFinite(const char* field, double value) {
  return std::isfinite(value) ? absl::OkStatus()
                              : Bad(absl::StrCat(field, " is ", value), "a finite number");
}

absl::Status CheckNorm(const proto::Norm& norm) {
  KEEL_RETURN_IF_ERROR(CheckKind("kind", norm.kind(), "KEEL_NORM_RMS or KEEL_NORM_LAYER",
                                 KEEL_NORM_RMS, KEEL_NORM_LAYER));
  KEEL_RETURN_IF_ERROR(CheckSizes({{"size", norm.size(), "hidden_size"}}));
  KEEL_RETURN_IF_ERROR(CheckFinite("weight_offset", norm.weight_offset()));
  if (norm.eps() > 0 && norm.eps() < 1) return absl::OkStatus();
  return Bad(absl::StrCat("eps is ", norm.eps()), "0 < eps < 1",
             SeeConfig("rms_norm_eps or layer_norm_eps"));
}

// What the tables that are built from it rely on.
absl::Status CheckRope(const proto::Rope& rope) {
  KEEL_RETURN_IF_ERROR(CheckSizes(
      {{"head_dim", rope.head_dim(), "head_dim (or hidden_size / num_attention_heads)"}}));
  if (rope.rotary_size() < 2 || rope.rotary_size() % 2 != 0 ||
      rope.rotary_size() > rope.head_dim()) {
    return Bad(absl::StrCat("rotary_size is ", rope.rotary_size()),
               absl::StrCat("an even number of 2 to head_dim, ", rope.head_dim()),
               SeeConfig("partial_rotary_factor"));
  }
  const int64_t pairs = rope.rotary_size() / 2;
  if (rope.inv_freq_size() != pairs ||
      (!rope.long_inv_freq().empty() && rope.long_inv_freq_size() != pairs)) {
    return Bad(absl::StrCat("it has ", rope.inv_freq_size(), " frequencies and ",
                            rope.long_inv_freq_size(), " long ones"),
               absl::StrCat(pairs, ", half the rotary size, and as many or no long ones"),
               SeeConfig("rope_parameters (or rope_scaling)"));
  }
  for (const auto* frequencies : {&rope.inv_freq(), &rope.long_inv_freq()}) {
    for (const double frequency : *frequencies)
      KEEL_RETURN_IF_ERROR(CheckFinite("a frequency", frequency));
  }
  if (rope.sections().empty()) return absl::OkStatus();
  int64_t sum = 0;
  for (const int64_t section : rope.sections()) {
    KEEL_RETURN_IF_ERROR(CheckSizes({{"a section", section, "mrope_section"}}));
    sum += section;
  }
  if (sum == pairs && rope.sections_size() <= kMaxSections) return absl::OkStatus();
  return Bad(
      absl::StrCat(rope.sections_size(), " sections sum to ", sum),
      absl::StrCat("at most ", kMaxSections, " with the sum ", pairs, ", half the rotary size"),
      SeeConfig("mrope_section"));
}

// A latent, the part of a head's key that is rotated, and the linear that gives the rest of it and the
// value.
absl::Status CheckLatent(const proto::Graph& graph, const proto::Attention& a) {
  if (a.kind() != proto::Attention::MLA) {
    if (a.kv_up() == 0) return absl::OkStatus();
    return Bad(absl::StrCat("kv_up is ", a.kv_up()), "0 unless kind is KEEL_ATTENTION_MLA");
  }
  KEEL_RETURN_IF_ERROR(CheckSizes({{"kv_lora_rank", a.kv_lora_rank(), "kv_lora_rank"},
                                   {"rope_dim", a.rope_dim(), "qk_rope_head_dim"}}));
  if (a.kv_heads() != 1 || a.rope_dim() >= a.qk_dim() || a.kv_share_layer() != -1) {
    return Bad(absl::StrCat("kv_heads is ", a.kv_heads(), ", rope_dim ", a.rope_dim(), ", qk_dim ",
                            a.qk_dim(), ", kv_share_layer ", a.kv_share_layer()),
               "1, less than qk_dim, and no sharing in latent attention");
  }
  proto::Linear up;
  if (a.kv_up() >= 1 && a.kv_up() <= static_cast<uint32_t>(graph.declarations_size()))
    up = graph.declarations(static_cast<int>(a.kv_up()) - 1).linear();
  int64_t out = 0;
  if (__builtin_mul_overflow(a.heads(), a.qk_dim() - a.rope_dim() + a.v_dim(), &out) ||
      up.in() != a.kv_lora_rank() || up.out() != out || up.bias()) {
    return Bad(absl::StrCat("kv_up is object ", a.kv_up(), ", a linear of ", up.in(), " to ",
                            up.out(), up.bias() ? " with a bias" : ""),
               absl::StrCat("one declared before, of kv_lora_rank = ", a.kv_lora_rank(), " to ",
                            out, ", heads * (qk_dim - rope_dim + v_dim), without a bias"));
  }
  return absl::OkStatus();
}

absl::Status CheckAttention(const proto::Graph& graph, const proto::Attention& a) {
  const int64_t num_layers = graph.spec().num_layers();
  KEEL_RETURN_IF_ERROR(
      CheckKind("kind", a.kind(), "KEEL_ATTENTION_*", KEEL_ATTENTION_CAUSAL, KEEL_ATTENTION_MLA));
  KEEL_RETURN_IF_ERROR(
      CheckSizes({{"heads", a.heads(), "num_attention_heads"},
                  {"kv_heads", a.kv_heads(), "num_key_value_heads"},
                  {"qk_dim", a.qk_dim(), "head_dim (or hidden_size / num_attention_heads)"},
                  {"v_dim", a.v_dim(), "head_dim (or hidden_size / num_attention_heads)"}}));
  if (a.heads() % a.kv_heads() != 0) {
    return Bad(absl::StrCat("heads (num_attention_heads) is ", a.heads()),
               absl::StrCat("a multiple of kv_heads (num_key_value_heads), ", a.kv_heads()));
  }
  KEEL_RETURN_IF_ERROR(CheckNotNegative({{"window", a.window(), "sliding_window"},
                                         {"chunk", a.chunk(), "attention_chunk_size"},
                                         {"kv_lora_rank", a.kv_lora_rank()},
                                         {"rope_dim", a.rope_dim()}}));
  KEEL_RETURN_IF_ERROR(CheckLatent(graph, a));
  if (!(a.scale() > 0) || !std::isfinite(a.scale()))
    return Bad(absl::StrCat("scale is ", a.scale()), "a number above 0");
  if (!(a.softcap() >= 0) || !std::isfinite(a.softcap()))
    return Bad(absl::StrCat("softcap is ", a.softcap()), "0 (none) or more");
  if (a.kind() == proto::Attention::ENCODER) {
    if (a.chunk() == 0) return absl::OkStatus();
    return Bad(absl::StrCat("chunk is ", a.chunk(), " of an encoder"), "0, or segments");
  }
  if (a.layer() < 0 || a.layer() >= num_layers) {
    return Bad(absl::StrCat("layer is ", a.layer()),
               absl::StrCat("0 to num_layers - 1 = ", num_layers - 1));
  }
  if (a.kv_share_layer() == -1 || (a.kv_share_layer() >= 0 && a.kv_share_layer() < a.layer()))
    return absl::OkStatus();
  return Bad(absl::StrCat("kv_share_layer is ", a.kv_share_layer()),
             absl::StrCat("an earlier layer than ", a.layer()));
}

absl::Status CheckMoe(const proto::Moe& m) {
  KEEL_RETURN_IF_ERROR(
      CheckKind("act", m.act(), "KEEL_ACT_*", KEEL_ACT_SILU, KEEL_ACT_QUICK_GELU, "hidden_act"));
  KEEL_RETURN_IF_ERROR(CheckKind("scoring", m.scoring(), "KEEL_MOE_*", KEEL_MOE_SOFTMAX,
                                 KEEL_MOE_TOPK_SOFTMAX, "scoring_func"));
  KEEL_RETURN_IF_ERROR(
      CheckSizes({{"experts", m.experts(), "num_experts, num_local_experts or n_routed_experts"},
                  {"top_k", m.top_k(), "num_experts_per_tok"},
                  {"hidden_size", m.hidden_size(), "hidden_size"},
                  {"intermediate_size", m.intermediate_size(), "moe_intermediate_size"}}));
  if (m.experts() > kMaxExperts) {
    return Bad(absl::StrCat("experts is ", m.experts()), absl::StrCat("at most ", kMaxExperts),
               SeeConfig("num_experts, num_local_experts or n_routed_experts"));
  }
  if (m.top_k() > m.experts()) {
    return Bad(absl::StrCat("top_k is ", m.top_k()), absl::StrCat("at most experts, ", m.experts()),
               SeeConfig("num_experts_per_tok"));
  }
  const bool grouped = m.groups() > 0 && m.experts() % m.groups() == 0 && m.top_groups() >= 1 &&
                       m.top_groups() <= m.groups();
  if (!grouped && (m.groups() != 0 || m.top_groups() != 0)) {
    return Bad(absl::StrCat("groups is ", m.groups(), ", top_groups is ", m.top_groups()),
               absl::StrCat("0 each, or groups that divide experts, ", m.experts(),
                            ", and 1 to groups of them"),
               SeeConfig("n_group and topk_group"));
  }
  KEEL_RETURN_IF_ERROR(CheckFinite("routed_scale", m.routed_scale()));
  KEEL_RETURN_IF_ERROR(CheckFinite("up_offset", m.up_offset()));
  if (!(m.limit() >= 0) || !std::isfinite(m.limit())) {
    return Bad(absl::StrCat("limit is ", m.limit()), "0 (none) or more", SeeConfig("swiglu_limit"));
  }
  if (!m.up().empty() && !m.down().empty()) return absl::OkStatus();
  return Bad("up or down is not given", "the names of the experts' matrices, with {e} in them");
}

absl::Status CheckConv(const proto::Conv& c) {
  const int nd = c.kernel_size();
  if (nd < 1 || nd > 3 || c.stride_size() != nd || c.padding_size() != nd) {
    return Bad(absl::StrCat("it has ", nd, " kernel sizes, ", c.stride_size(), " strides and ",
                            c.padding_size(), " paddings"),
               "as many of each, 1 to 3");
  }
  KEEL_RETURN_IF_ERROR(CheckSizes({{"in", c.in(), "num_channels or in_channels"},
                                   {"out", c.out(), "hidden_size"},
                                   {"groups", c.groups()}}));
  if (c.in() % c.groups() != 0 || c.out() % c.groups() != 0) {
    return Bad(absl::StrCat("groups is ", c.groups()),
               absl::StrCat("a divisor of in, ", c.in(), ", and out, ", c.out()));
  }
  for (int i = 0; i < nd; ++i) {
    KEEL_RETURN_IF_ERROR(CheckSizes(
        {{"kernel", c.kernel(i), "patch_size or kernel_size"}, {"stride", c.stride(i)}}));
    if (c.padding(i) >= 0 && c.padding(i) <= c.kernel(i)) continue;
    return Bad(absl::StrCat("padding is ", c.padding(i)),
               absl::StrCat("0 to the kernel's size, ", c.kernel(i)));
  }
  return absl::OkStatus();
}

// Sizes that are numbers, and as many elements as a size may have at most.
absl::Status CheckType(const proto::Type& type) {
  KEEL_ASSIGN_OR_RETURN(const TensorType parsed, FromProto(type));
  int64_t elements = 1;
  for (const Extent& extent : parsed.dims) {
    if (extent.symbolic())
      return Bad(absl::StrCat("it is ", ToString(parsed)), "sizes that are numbers");
    KEEL_RETURN_IF_ERROR(CheckSizes({{"a dimension", extent.size}}));
    if (__builtin_mul_overflow(elements, extent.size, &elements) || elements > kMaxElements)
      return Bad(absl::StrCat("it is ", ToString(parsed)), "at most 2^34 elements");
  }
  return absl::OkStatus();
}

absl::Status CheckState(const proto::State& state, int64_t num_layers) {
  KEEL_RETURN_IF_ERROR(
      CheckKind("kind", state.kind(), "KEEL_STATE_*", KEEL_STATE_CONV, KEEL_STATE_OTHER));
  if (state.layer() < 0 || state.layer() >= num_layers) {
    return Bad(absl::StrCat("layer is ", state.layer()),
               absl::StrCat("0 to num_layers - 1 = ", num_layers - 1));
  }
  return CheckType(state.type());
}

// The weight is that of an earlier or later object that is of the same shape and has its own.
absl::Status CheckTie(const proto::Graph& graph, const Declaration& d) {
  if (d.tied_to() == 0) return absl::OkStatus();
  if (d.tied_to() > static_cast<uint32_t>(graph.declarations_size())) {
    return Bad(absl::StrCat("it is tied to object ", d.tied_to(), ", which was not declared"),
               absl::StrCat("1 to ", graph.declarations_size()));
  }
  const Declaration& other = graph.declarations(static_cast<int>(d.tied_to()) - 1);
  const auto shape = [](const Declaration& x) -> std::pair<int64_t, int64_t> {
    if (x.has_linear()) return {x.linear().out(), x.linear().in()};
    if (x.has_embedding()) return {x.embedding().rows(), x.embedding().size()};
    return {0, 0};
  };
  const auto [rows, columns] = shape(d);
  if (other.tied_to() == 0 && rows > 0 && shape(d) == shape(other)) return absl::OkStatus();
  return Bad(
      absl::StrCat("it is tied to '", Shown(other.name()), "', which has another kind or shape"),
      absl::StrCat("a linear or embedding of [", rows, ", ", columns,
                   "] with a weight of its own"));
}

absl::Status CheckKernel(const proto::Graph& graph, const proto::Kernel& kernel) {
  if (kernel.kernel().empty()) return Bad("kernel has no name", "that of a kernel class");
  for (int i = 0; i < kernel.states_size(); ++i) {
    const uint32_t state = kernel.states(i);
    if (state < 1 || state > static_cast<uint32_t>(graph.declarations_size()) ||
        !graph.declarations(static_cast<int>(state) - 1).has_state()) {
      return Bad(absl::StrCat("states[", i, "] is object ", state), "a state that was declared");
    }
    if (std::count(kernel.states().begin(), kernel.states().end(), state) > 1)
      return Bad(absl::StrCat("states[", i, "], object ", state, ", is given twice"), "each once");
  }
  return absl::OkStatus();
}

absl::Status CheckKindOf(const proto::Graph& graph, const Declaration& d) {
  const int64_t num_layers = graph.spec().num_layers();
  switch (d.kind_case()) {
    case Declaration::kLinear:
      return CheckSizes({{"in", d.linear().in(), "hidden_size and intermediate_size"},
                         {"out", d.linear().out(), "hidden_size and intermediate_size"}});
    case Declaration::kEmbedding:
      return CheckSizes({{"rows", d.embedding().rows(), "vocab_size"},
                         {"size", d.embedding().size(), "hidden_size"}});
    case Declaration::kNorm:
      return CheckNorm(d.norm());
    case Declaration::kRope:
      return CheckRope(d.rope());
    case Declaration::kAttention:
      return CheckAttention(graph, d.attention());
    case Declaration::kMoe:
      return CheckMoe(d.moe());
    case Declaration::kConv:
      return CheckConv(d.conv());
    case Declaration::kState:
      return CheckState(d.state(), num_layers);
    case Declaration::kParam:
      return CheckType(d.param().type());
    case Declaration::kKernel:
      return CheckKernel(graph, d.kernel());
    case Declaration::KIND_NOT_SET:
      break;
  }
  return Bad("it has no kind", "one that this host knows");
}

}  // namespace

absl::Status CheckDeclaration(const proto::Graph& graph, const Declaration& d) {
  KEEL_RETURN_IF_ERROR(CheckKindOf(graph, d));
  return CheckTie(graph, d);
}

int64_t EmbeddingSize(const proto::Graph& graph) {
  for (const proto::Declaration& d : graph.declarations()) {
    if (d.name() == graph.spec().embed_tokens() && d.has_embedding()) return d.embedding().size();
  }
  return graph.spec().hidden_size();
}

}  // namespace keel
