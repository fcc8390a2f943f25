#include "core/graph/declare.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/config/rope_parameters.h"
#include "core/graph/declaration.h"
#include "core/graph/errors.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr int kMaxDeclarations = 1 << 20;

Declarer& Self(keel_build* build) { return *static_cast<Declarer*>(build); }
std::string Text(keel_str s) { return s.size == 0 ? std::string() : std::string(s.data, s.size); }
const char* OrEmpty(const char* s) { return s == nullptr ? "" : s; }

// A declaration is made from a description, then checked as one of a graph file is, then added.
keel_object AddChecked(keel_build* build, const std::string& name, Declaration d) {
  Declarer& self = Self(build);
  if (absl::Status status = CheckDeclaration(self.graph(), d); !status.ok())
    return self.Fail(name, status);
  return self.Add(name, std::move(d));
}

// Bits that this host does not know ask for something it would not do.
bool KnowsFlags(Declarer& self, const std::string& name, uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return true;
  self.Fail(name, Bad(absl::StrCat("flags are ", flags), absl::StrCat("bits of ", known),
                      "the others are not known to this host"));
  return false;
}

keel_object NoDescription(keel_build* build, const std::string& name) {
  return Self(build).Fail(name, Bad("the description is NULL", "one"));
}

keel_object DeclareLinear(keel_build* build, keel_str name_str, int64_t in, int64_t out,
                          uint32_t flags) {
  const std::string name = Text(name_str);
  if (!KnowsFlags(Self(build), name, flags, KEEL_LINEAR_BIAS)) return 0;
  Declaration d;
  d.mutable_linear()->set_in(in);
  d.mutable_linear()->set_out(out);
  d.mutable_linear()->set_bias(flags & KEEL_LINEAR_BIAS);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareEmbedding(keel_build* build, keel_str name_str, int64_t rows, int64_t size,
                             uint32_t flags) {
  const std::string name = Text(name_str);
  if (!KnowsFlags(Self(build), name, flags, KEEL_EMBEDDING_DEFAULT)) return 0;
  Declaration d;
  d.mutable_embedding()->set_rows(rows);
  d.mutable_embedding()->set_size(size);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareNorm(keel_build* build, keel_str name_str, const keel_norm_desc* desc) {
  const std::string name = Text(name_str);
  if (desc == nullptr) return NoDescription(build, name);
  constexpr uint32_t kFlags = KEEL_NORM_BIAS | KEEL_NORM_NO_WEIGHT | KEEL_NORM_CAST_LAST;
  if (!KnowsFlags(Self(build), name, desc->flags, kFlags)) return 0;
  Declaration d;
  proto::Norm* norm = d.mutable_norm();
  norm->set_kind(static_cast<proto::Norm::Kind>(desc->kind));
  norm->set_size(desc->size);
  norm->set_eps(desc->eps);
  norm->set_weight_offset(desc->weight_offset);
  norm->set_bias(desc->flags & KEEL_NORM_BIAS);
  norm->set_no_weight(desc->flags & KEEL_NORM_NO_WEIGHT);
  norm->set_cast_last(desc->flags & KEEL_NORM_CAST_LAST);
  return AddChecked(build, name, std::move(d));
}

// KEEL_ROPE_AXIAL: every axis has the whole range of frequencies, theta^(-i / section).
absl::Status RestartFrequencies(const keel_rope_desc& desc, RopeParameters& rope) {
  if (desc.num_sections == 0 || desc.flags & KEEL_ROPE_SECTIONS_INTERLEAVED ||
      rope.rope_type != "default") {
    return Bad(
        absl::StrCat("axial with ", desc.num_sections, " sections and rope_type ", rope.rope_type),
        "sections one after another and rope_type default");
  }
  rope.inv_freq.clear();  // with sections of another sum it stays short and is refused
  for (uint32_t axis = 0; axis < desc.num_sections; ++axis) {
    const double section = static_cast<double>(desc.sections[axis]);
    for (int64_t i = 0; i < std::min(desc.sections[axis], rope.rotary_size); ++i)
      rope.inv_freq.push_back(std::pow(rope.theta, -static_cast<double>(i) / section));
  }
  return absl::OkStatus();
}

keel_object DeclareRope(keel_build* build, const keel_rope_desc* desc) {
  Declarer& self = Self(build);
  const std::string name = absl::StrCat("rope.", self.last() + 1);
  if (desc == nullptr) return NoDescription(build, name);
  constexpr uint32_t kFlags = KEEL_ROPE_SECTIONS_INTERLEAVED | KEEL_ROPE_FP32 | KEEL_ROPE_AXIAL;
  if (!KnowsFlags(self, name, desc->flags, kFlags)) return 0;
  if (desc->layout > KEEL_ROPE_INTERLEAVED || desc->num_sections > std::size(desc->sections)) {
    return self.Fail(
        name,
        Bad(absl::StrCat("layout is ", desc->layout, " with ", desc->num_sections, " sections"),
            absl::StrCat("KEEL_ROPE_HALVES or KEEL_ROPE_INTERLEAVED, and at most ",
                         std::size(desc->sections), " sections")));
  }
  Declaration d;
  proto::Rope* rope = d.mutable_rope();
  rope->set_head_dim(desc->head_dim);
  for (uint32_t i = 0; i < desc->num_sections; ++i) rope->add_sections(desc->sections[i]);
  if (desc->head_dim < 1 || desc->head_dim > kMaxDeclaredSize)
    return AddChecked(build, name, std::move(d));  // which refuses it
  RopeQuery query{desc->head_dim, desc->rotary_size, desc->theta == 0 ? 10000 : desc->theta};
  if (desc->params != nullptr) query.params = desc->params;
  if (desc->partial_rotary_factor != 0) query.partial_rotary_factor = desc->partial_rotary_factor;
  if (!(query.partial_rotary_factor > 0 && query.partial_rotary_factor <= 1)) {
    return self.Fail(name,
                     Bad(absl::StrCat("partial_rotary_factor is ", query.partial_rotary_factor),
                         "more than 0 and up to 1, or 0: the default"));
  }
  absl::StatusOr<RopeParameters> found = ResolveRope(query, self.config(), self.where());
  if (!found.ok()) return self.Fail(found.status());
  if (desc->flags & KEEL_ROPE_AXIAL) {
    if (absl::Status status = RestartFrequencies(*desc, *found); !status.ok())
      return self.Fail(name, status);
  }
  rope->set_rotary_size(found->rotary_size);
  rope->set_interleaved(desc->layout == KEEL_ROPE_INTERLEAVED);
  rope->set_fp32(desc->flags & KEEL_ROPE_FP32);
  rope->set_attention_factor(found->attention_factor);
  rope->set_sections_interleaved(desc->flags & KEEL_ROPE_SECTIONS_INTERLEAVED);
  rope->set_rope_type(found->rope_type);
  rope->set_theta(found->theta);
  rope->mutable_inv_freq()->Add(found->inv_freq.begin(), found->inv_freq.end());
  rope->mutable_long_inv_freq()->Add(found->long_inv_freq.begin(), found->long_inv_freq.end());
  rope->set_original_max_positions(found->original_max_positions);
  rope->set_dynamic_factor(found->dynamic_factor);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareAttention(keel_build* build, keel_str name_str,
                             const keel_attention_desc* desc) {
  const std::string name = Text(name_str);
  if (desc == nullptr) return NoDescription(build, name);
  if (!KnowsFlags(Self(build), name, desc->flags, KEEL_ATTENTION_SHARE_KV)) return 0;
  Declaration d;
  proto::Attention* attention = d.mutable_attention();
  attention->set_kind(static_cast<proto::Attention::Kind>(desc->kind));
  attention->set_layer(desc->layer);
  attention->set_kv_share_layer(-1);
  if (desc->flags & KEEL_ATTENTION_SHARE_KV)  // -1 would say that it shares none
    attention->set_kv_share_layer(desc->kv_share_layer < 0 ? desc->layer : desc->kv_share_layer);
  attention->set_heads(desc->heads);
  attention->set_kv_heads(desc->kv_heads);
  attention->set_qk_dim(desc->qk_dim);
  attention->set_v_dim(desc->v_dim);
  attention->set_window(desc->window);
  attention->set_chunk(desc->chunk);
  attention->set_kv_lora_rank(desc->kv_lora_rank);
  attention->set_rope_dim(desc->rope_dim);
  attention->set_scale(desc->scale == 0 && desc->qk_dim > 0
                           ? 1 / std::sqrt(static_cast<double>(desc->qk_dim))
                           : desc->scale);
  attention->set_softcap(desc->softcap);
  attention->set_impl(OrEmpty(desc->impl));
  attention->set_kv_up(desc->kv_up);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareMoe(keel_build* build, keel_str name_str, const keel_moe_desc* desc) {
  const std::string name = Text(name_str);
  if (desc == nullptr) return NoDescription(build, name);
  if (!KnowsFlags(Self(build), name, desc->flags, KEEL_MOE_NORM_TOPK | KEEL_MOE_BIAS)) return 0;
  Declaration d;
  proto::Moe* moe = d.mutable_moe();
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
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareConv(keel_build* build, keel_str name_str, const keel_conv_desc* desc) {
  const std::string name = Text(name_str);
  if (desc == nullptr) return NoDescription(build, name);
  if (!KnowsFlags(Self(build), name, desc->flags, KEEL_CONV_BIAS)) return 0;
  Declaration d;
  proto::Conv* conv = d.mutable_conv();
  conv->set_in(desc->in);
  conv->set_out(desc->out);
  conv->set_groups(desc->groups == 0 ? 1 : desc->groups);
  conv->set_bias(desc->flags & KEEL_CONV_BIAS);
  if (desc->ndim > std::size(desc->kernel)) {
    return Self(build).Fail(name, Bad(absl::StrCat("ndim is ", desc->ndim), "1 to 3"));
  }
  for (uint32_t i = 0; i < desc->ndim; ++i) {
    conv->add_kernel(desc->kernel[i]);
    conv->add_stride(desc->stride[i]);
    conv->add_padding(desc->padding[i]);
  }
  return AddChecked(build, name, std::move(d));
}

// With too many dimensions one too many is kept: the check refuses it.
proto::Type TypeOf(uint32_t dtype, uint32_t ndim, const int64_t* dims) {
  proto::Type type;
  type.set_dtype(static_cast<proto::DataType>(dtype));
  for (uint32_t i = 0; i < ndim && i <= KEEL_MAX_DIMS; ++i)
    type.add_dims()->set_size(i < KEEL_MAX_DIMS ? dims[i] : 1);
  return type;
}

keel_object DeclareState(keel_build* build, keel_str name_str, const keel_state_desc* desc) {
  const std::string name = Text(name_str);
  if (desc == nullptr) return NoDescription(build, name);
  Declaration d;
  d.mutable_state()->set_kind(desc->kind);
  d.mutable_state()->set_layer(desc->layer);
  *d.mutable_state()->mutable_type() = TypeOf(desc->dtype, desc->ndim, desc->dims);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareParam(keel_build* build, keel_str name_str, uint32_t dtype, uint32_t ndim,
                         const int64_t* dims) {
  const std::string name = Text(name_str);
  if (dims == nullptr && ndim > 0) return NoDescription(build, name);
  Declaration d;
  *d.mutable_param()->mutable_type() = TypeOf(dtype, ndim, dims);
  return AddChecked(build, name, std::move(d));
}

keel_object DeclareKernel(keel_build* build, const char* kernel, keel_str attrs) {
  Declaration d;
  d.mutable_kernel()->set_kernel(OrEmpty(kernel));
  d.mutable_kernel()->set_attrs(Text(attrs));
  return AddChecked(build, absl::StrCat("kernel.", Self(build).last() + 1), std::move(d));
}

void Tie(keel_build* build, keel_object a, keel_object b) {
  Declarer& self = Self(build);
  if (!self.status().ok()) return;
  if (a == 0 || b == 0 || a == b || a > self.last() || b > self.last()) {
    self.Fail("tie", Bad(absl::StrCat("objects ", a, " and ", b, " were not both declared"),
                         absl::StrCat("two of 1 to ", self.last())));
    return;
  }
  Declaration& tied = *self.graph().mutable_declarations(static_cast<int>(b) - 1);
  tied.set_tied_to(a);
  if (absl::Status status = CheckDeclaration(self.graph(), tied); !status.ok())
    self.Fail(tied.name(), status);
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

keel_object Declarer::Add(const std::string& name, proto::Declaration declaration) {
  if (!status_.ok()) return 0;
  if (name.empty()) return Fail(name, Bad("the name is empty", "the checkpoint's"));
  if (graph_->declarations_size() >= kMaxDeclarations) {
    return Fail(name, Bad(absl::StrCat("it is number ", graph_->declarations_size() + 1),
                          absl::StrCat("at most ", kMaxDeclarations), "see num_hidden_layers"));
  }
  if (!names_.insert(name).second)
    return Fail(name, Bad("it was declared twice", "each name once"));
  declaration.set_name(name);
  *graph_->add_declarations() = std::move(declaration);
  return last();
}

keel_object Declarer::Fail(const std::string& name, const absl::Status& status) {
  return Fail(Annotate(status, absl::StrCat("declaring '", Shown(name), "'")));
}

keel_object Declarer::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
  return 0;
}

}  // namespace keel
