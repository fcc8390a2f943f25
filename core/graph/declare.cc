#include "core/graph/declare.h"

#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/config/rope_parameters.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr int64_t kMaxSize = int64_t{1} << 30;
constexpr int kMaxDeclarations = 1 << 20;

Declarer& Self(keel_build* build) { return *static_cast<Declarer*>(build); }
std::string Text(keel_str s) { return s.size == 0 ? std::string() : std::string(s.data, s.size); }
const char* OrEmpty(const char* s) { return s == nullptr ? "" : s; }

bool SizesOk(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes) {
    if (size < 1 || size > kMaxSize) return false;
  }
  return true;
}

keel_object BadSizes(Declarer& self, const std::string& name,
                     std::initializer_list<int64_t> sizes) {
  std::string text;
  for (const int64_t size : sizes) absl::StrAppend(&text, text.empty() ? "" : ", ", size);
  return self.Fail(name, absl::StrCat("sizes are ", text, ", expected 1 to 2^30 each"));
}

keel_object DeclareLinear(keel_build* build, keel_str name_str, int64_t in, int64_t out,
                          uint32_t flags) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  if (!SizesOk({in, out})) return BadSizes(self, name, {in, out});
  if (flags & ~KEEL_LINEAR_BIAS)
    return self.Fail(name, absl::StrCat("flags ", flags, " are not known to this host"));
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  d->mutable_linear()->set_in(in);
  d->mutable_linear()->set_out(out);
  d->mutable_linear()->set_bias(flags & KEEL_LINEAR_BIAS);
  return self.last();
}

keel_object DeclareEmbedding(keel_build* build, keel_str name_str, int64_t rows, int64_t size,
                             uint32_t flags) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  if (!SizesOk({rows, size})) return BadSizes(self, name, {rows, size});
  if (flags != KEEL_EMBEDDING_DEFAULT)
    return self.Fail(name, absl::StrCat("flags ", flags, " are not known to this host"));
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  d->mutable_embedding()->set_rows(rows);
  d->mutable_embedding()->set_size(size);
  return self.last();
}

keel_object DeclareNorm(keel_build* build, keel_str name_str, const keel_norm_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  constexpr uint32_t kFlags = KEEL_NORM_BIAS | KEEL_NORM_NO_WEIGHT | KEEL_NORM_CAST_LAST;
  if (!SizesOk({desc->size})) return BadSizes(self, name, {desc->size});
  if (desc->kind > KEEL_NORM_LAYER || desc->flags & ~kFlags) {
    return self.Fail(name, absl::StrCat("norm kind ", desc->kind, " with flags ", desc->flags,
                                        " is not known to this host"));
  }
  if (!(desc->eps > 0) || !(desc->eps < 1))
    return self.Fail(name, absl::StrCat("eps is ", desc->eps, ", expected 0 < eps < 1"));
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  proto::Norm* norm = d->mutable_norm();
  norm->set_kind(static_cast<proto::Norm::Kind>(desc->kind));
  norm->set_size(desc->size);
  norm->set_eps(desc->eps);
  norm->set_weight_offset(desc->weight_offset);
  norm->set_bias(desc->flags & KEEL_NORM_BIAS);
  norm->set_no_weight(desc->flags & KEEL_NORM_NO_WEIGHT);
  norm->set_cast_last(desc->flags & KEEL_NORM_CAST_LAST);
  return self.last();
}

// KEEL_ROPE_AXIAL: every axis has the whole range of frequencies, theta^(-i / section).
absl::Status RestartFrequencies(const keel_rope_desc& desc, RopeParameters& rope) {
  if (desc.num_sections == 0 || desc.flags & KEEL_ROPE_SECTIONS_INTERLEAVED ||
      rope.rope_type != "default") {
    return absl::InvalidArgumentError(
        absl::StrCat("axial with ", desc.num_sections, " sections and rope_type ", rope.rope_type,
                     ", expected sections one after another and rope_type default"));
  }
  rope.inv_freq.clear();
  for (uint32_t axis = 0; axis < desc.num_sections; ++axis) {
    const double section = static_cast<double>(desc.sections[axis]);
    for (int64_t i = 0; i < desc.sections[axis]; ++i)
      rope.inv_freq.push_back(std::pow(rope.theta, -static_cast<double>(i) / section));
  }
  return absl::OkStatus();
}

keel_object DeclareRope(keel_build* build, const keel_rope_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = absl::StrCat("rope.", self.last() + 1);
  constexpr uint32_t kFlags = KEEL_ROPE_SECTIONS_INTERLEAVED | KEEL_ROPE_FP32 | KEEL_ROPE_AXIAL;
  if (!SizesOk({desc->head_dim})) return BadSizes(self, name, {desc->head_dim});
  if (desc->layout > KEEL_ROPE_INTERLEAVED || desc->flags & ~kFlags || desc->num_sections > 4) {
    return self.Fail(name,
                     absl::StrCat("layout ", desc->layout, " with flags ", desc->flags, " and ",
                                  desc->num_sections, " sections is not known to this host"));
  }
  RopeQuery query{desc->head_dim, desc->rotary_size, desc->theta == 0 ? 10000 : desc->theta};
  if (desc->params != nullptr) query.params = desc->params;
  if (desc->partial_rotary_factor != 0) query.partial_rotary_factor = desc->partial_rotary_factor;
  if (!(query.partial_rotary_factor > 0 && query.partial_rotary_factor <= 1)) {
    return self.Fail(name, absl::StrCat("partial_rotary_factor is ", query.partial_rotary_factor,
                                        ", expected more than 0 and up to 1, or 0: the default"));
  }
  absl::StatusOr<RopeParameters> found = ResolveRope(query, self.config(), self.where());
  if (!found.ok()) return self.Fail(found.status());
  int64_t pairs = 0;
  for (uint32_t i = 0; i < desc->num_sections; ++i) {
    if (!SizesOk({desc->sections[i]})) return BadSizes(self, name, {desc->sections[i]});
    pairs += desc->sections[i];
  }
  if (desc->num_sections > 0 && pairs != found->rotary_size / 2) {
    return self.Fail(name, absl::StrCat("sections sum to ", pairs,
                                        ", expected half the rotary size ", found->rotary_size));
  }
  if (desc->flags & KEEL_ROPE_AXIAL) {
    if (absl::Status status = RestartFrequencies(*desc, *found); !status.ok())
      return self.Fail(name, status.message());
  }
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  proto::Rope* rope = d->mutable_rope();
  rope->set_head_dim(desc->head_dim);
  rope->set_rotary_size(found->rotary_size);
  rope->set_interleaved(desc->layout == KEEL_ROPE_INTERLEAVED);
  rope->set_fp32(desc->flags & KEEL_ROPE_FP32);
  rope->set_attention_factor(found->attention_factor);
  for (uint32_t i = 0; i < desc->num_sections; ++i) rope->add_sections(desc->sections[i]);
  rope->set_sections_interleaved(desc->flags & KEEL_ROPE_SECTIONS_INTERLEAVED);
  rope->set_rope_type(found->rope_type);
  rope->set_theta(found->theta);
  rope->mutable_inv_freq()->Add(found->inv_freq.begin(), found->inv_freq.end());
  rope->mutable_long_inv_freq()->Add(found->long_inv_freq.begin(), found->long_inv_freq.end());
  rope->set_original_max_positions(found->original_max_positions);
  rope->set_dynamic_factor(found->dynamic_factor);
  return self.last();
}

std::string AttentionFault(const keel_attention_desc& desc, int64_t num_layers) {
  if (desc.kind > KEEL_ATTENTION_MLA)
    return absl::StrCat("kind ", desc.kind, " is not known to this host");
  if (!SizesOk({desc.heads, desc.kv_heads, desc.qk_dim, desc.v_dim})) {
    return absl::StrCat("heads, kv_heads, qk_dim, v_dim are ", desc.heads, ", ", desc.kv_heads,
                        ", ", desc.qk_dim, ", ", desc.v_dim, ", expected at least 1 each");
  }
  if (desc.heads % desc.kv_heads != 0) {
    return absl::StrCat("heads (num_attention_heads) is ", desc.heads,
                        ", which kv_heads (num_key_value_heads, ", desc.kv_heads,
                        ") does not divide");
  }
  if (desc.kind != KEEL_ATTENTION_ENCODER && (desc.layer < 0 || desc.layer >= num_layers)) {
    return absl::StrCat("layer is ", desc.layer,
                        ", expected 0 to num_layers - 1 = ", num_layers - 1);
  }
  if (desc.window < 0 || desc.chunk < 0 || desc.kv_lora_rank < 0 || desc.rope_dim < 0) {
    return "window, chunk, kv_lora_rank and rope_dim must not be negative";
  }
  if (desc.flags & ~KEEL_ATTENTION_SHARE_KV)
    return absl::StrCat("flags ", desc.flags, " are not known to this host");
  if (desc.flags & KEEL_ATTENTION_SHARE_KV &&
      (desc.kv_share_layer < 0 || desc.kv_share_layer >= desc.layer)) {
    return absl::StrCat("kv_share_layer is ", desc.kv_share_layer,
                        ", expected an earlier layer than ", desc.layer);
  }
  return "";
}

keel_object DeclareAttention(keel_build* build, keel_str name_str,
                             const keel_attention_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  if (std::string fault = AttentionFault(*desc, self.graph().spec().num_layers()); !fault.empty()) {
    return self.Fail(name, fault);
  }
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  proto::Attention* attention = d->mutable_attention();
  attention->set_kind(static_cast<proto::Attention::Kind>(desc->kind));
  attention->set_layer(desc->layer);
  attention->set_kv_share_layer(desc->flags & KEEL_ATTENTION_SHARE_KV ? desc->kv_share_layer : -1);
  attention->set_heads(desc->heads);
  attention->set_kv_heads(desc->kv_heads);
  attention->set_qk_dim(desc->qk_dim);
  attention->set_v_dim(desc->v_dim);
  attention->set_window(desc->window);
  attention->set_chunk(desc->chunk);
  attention->set_kv_lora_rank(desc->kv_lora_rank);
  attention->set_rope_dim(desc->rope_dim);
  attention->set_scale(desc->scale == 0 ? 1 / std::sqrt(static_cast<double>(desc->qk_dim))
                                        : desc->scale);
  attention->set_softcap(desc->softcap);
  attention->set_impl(OrEmpty(desc->impl));
  return self.last();
}

keel_object DeclareMoe(keel_build* build, keel_str name_str, const keel_moe_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  if (!SizesOk({desc->experts, desc->top_k, desc->hidden_size, desc->intermediate_size}) ||
      desc->top_k > desc->experts) {
    return self.Fail(
        name, absl::StrCat("experts ", desc->experts, ", top_k ", desc->top_k, ", hidden_size ",
                           desc->hidden_size, ", intermediate_size ", desc->intermediate_size,
                           ", expected at least 1 each and top_k <= experts"));
  }
  if (desc->scoring > KEEL_MOE_TOPK_SOFTMAX || desc->act < KEEL_ACT_SILU ||
      desc->act > KEEL_ACT_QUICK_GELU || desc->flags & ~(KEEL_MOE_NORM_TOPK | KEEL_MOE_BIAS)) {
    return self.Fail(name, "its scoring, activation or flags are not known to this host");
  }
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  proto::Moe* moe = d->mutable_moe();
  moe->set_act(desc->act);
  moe->set_experts(desc->experts);
  moe->set_top_k(desc->top_k);
  moe->set_hidden_size(desc->hidden_size);
  moe->set_intermediate_size(desc->intermediate_size);
  moe->set_groups(desc->groups);
  moe->set_top_groups(desc->top_groups);
  moe->set_scoring(desc->scoring);
  moe->set_norm_topk(desc->flags & KEEL_MOE_NORM_TOPK);
  moe->set_bias(desc->flags & KEEL_MOE_BIAS);
  moe->set_routed_scale(desc->routed_scale == 0 ? 1 : desc->routed_scale);
  moe->set_gate(OrEmpty(desc->gate));
  moe->set_up(OrEmpty(desc->up));
  moe->set_down(OrEmpty(desc->down));
  moe->set_score_bias(OrEmpty(desc->score_bias));
  return self.last();
}

keel_object DeclareConv(keel_build* build, keel_str name_str, const keel_conv_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  const int64_t groups = desc->groups == 0 ? 1 : desc->groups;
  if (desc->ndim < 1 || desc->ndim > 3 || !SizesOk({desc->in, desc->out, groups}) ||
      desc->in % groups || desc->out % groups || desc->flags & ~KEEL_CONV_BIAS) {
    return self.Fail(name, absl::StrCat("a convolution of ", desc->ndim, " dimensions, ", desc->in,
                                        " to ", desc->out, " channels in ", groups, " groups"));
  }
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  proto::Conv* conv = d->mutable_conv();
  conv->set_in(desc->in);
  conv->set_out(desc->out);
  conv->set_groups(groups);
  conv->set_bias(desc->flags & KEEL_CONV_BIAS);
  for (uint32_t i = 0; i < desc->ndim; ++i) {
    if (!SizesOk({desc->kernel[i], desc->stride[i]}) || desc->padding[i] < 0 ||
        desc->padding[i] > desc->kernel[i]) {
      return self.Fail(name, "its kernel, stride or padding is out of range");
    }
    conv->add_kernel(desc->kernel[i]);
    conv->add_stride(desc->stride[i]);
    conv->add_padding(desc->padding[i]);
  }
  return self.last();
}

bool FillType(uint32_t dtype, uint32_t ndim, const int64_t* dims, proto::Type* type) {
  if (!proto::DataType_IsValid(static_cast<int>(dtype)) || ndim > KEEL_MAX_DIMS) return false;
  type->set_dtype(static_cast<proto::DataType>(dtype));
  for (uint32_t i = 0; i < ndim; ++i) {
    if (!SizesOk({dims[i]})) return false;
    type->add_dims()->set_size(dims[i]);
  }
  return true;
}

keel_object DeclareState(keel_build* build, keel_str name_str, const keel_state_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  proto::Type type;
  if (desc->kind > KEEL_STATE_OTHER || desc->layer < 0 ||
      desc->layer >= self.graph().spec().num_layers() ||
      !FillType(desc->dtype, desc->ndim, desc->dims, &type)) {
    return self.Fail(name, "its kind, layer, type or sizes are out of range");
  }
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  d->mutable_state()->set_kind(desc->kind);
  d->mutable_state()->set_layer(desc->layer);
  *d->mutable_state()->mutable_type() = type;
  return self.last();
}

keel_object DeclareParam(keel_build* build, keel_str name_str, uint32_t dtype, uint32_t ndim,
                         const int64_t* dims) {
  Declarer& self = Self(build);
  const std::string name = Text(name_str);
  proto::Type type;
  if (!FillType(dtype, ndim, dims, &type))
    return self.Fail(name, "its type or sizes are out of range");
  Declaration* d = self.Add(name);
  if (d == nullptr) return 0;
  *d->mutable_param()->mutable_type() = type;
  return self.last();
}

keel_object DeclareKernel(keel_build* build, const char* kernel, keel_str attrs) {
  Declarer& self = Self(build);
  Declaration* d = self.Add(absl::StrCat("kernel.", self.last() + 1));
  if (d == nullptr) return 0;
  d->mutable_kernel()->set_kernel(kernel);
  d->mutable_kernel()->set_attrs(Text(attrs));
  return self.last();
}

void Tie(keel_build* build, keel_object a, keel_object b) {
  Declarer& self = Self(build);
  if (!self.status().ok()) return;
  if (a == 0 || b == 0 || a == b || a > self.last() || b > self.last()) {
    self.Fail("tie", absl::StrCat("objects ", a, " and ", b, " were not both declared"));
    return;
  }
  self.graph().mutable_declarations(static_cast<int>(b) - 1)->set_tied_to(a);
}

keel_status GetStatus(const keel_build* build) {
  return static_cast<keel_status>(static_cast<const Declarer*>(build)->status().code());
}

constexpr keel_build_api kApi = {sizeof(keel_build_api),
                                 0,
                                 DeclareLinear,
                                 DeclareEmbedding,
                                 DeclareNorm,
                                 DeclareRope,
                                 DeclareAttention,
                                 DeclareMoe,
                                 DeclareConv,
                                 DeclareState,
                                 DeclareParam,
                                 DeclareKernel,
                                 Tie,
                                 GetStatus};

}  // namespace

Declarer::Declarer(proto::Graph* graph, const boost::json::object& config, std::string where)
    : keel_build{&kApi}, graph_(graph), config_(config), where_(std::move(where)) {}

proto::Declaration* Declarer::Add(const std::string& name) {
  if (!status_.ok()) return nullptr;
  if (name.empty() || graph_->declarations_size() >= kMaxDeclarations) {
    Fail(name, "a declaration needs a name, and a model has at most 2^20");
    return nullptr;
  }
  if (!names_.insert(name).second) {
    Fail(name, "was declared twice");
    return nullptr;
  }
  proto::Declaration* declaration = graph_->add_declarations();
  declaration->set_name(name);
  return declaration;
}

keel_object Declarer::Fail(const std::string& name, absl::string_view message) {
  return Fail(absl::InvalidArgumentError(absl::StrCat("declaring '", name, "': ", message)));
}

keel_object Declarer::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
  return 0;
}

}  // namespace keel
