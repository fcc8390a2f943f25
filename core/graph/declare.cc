#include "core/graph/declare.h"

#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/abi_input.h"
#include "core/base/status.h"
#include "core/config/rope_parameters.h"
#include "core/graph/declaration.h"
#include "core/graph/errors.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr int kMaxDeclarations = 1 << 20;

Declarer& Self(keel_build* build) { return *static_cast<Declarer*>(build); }
const char* OrEmpty(const char* s) { return s == nullptr ? "" : s; }
constexpr char kDescription[] = "the description";

// A declaration is made from a description, then checked as one of a graph file is, then added.
keel_object AddChecked(keel_build* build, const std::string& name, Declaration d) {
  Declarer& self = Self(build);
  if (absl::Status status = CheckDeclaration(self.graph(), d); !status.ok())
    return self.Fail(name, status);
  return self.Add(name, std::move(d));
}

// The name as the host's own text, or none with the failure kept.
std::optional<std::string> TakeName(keel_build* build, keel_str name) {
  absl::StatusOr<std::string> text = CopyText("the name", name);
  if (text.ok()) return *std::move(text);
  Self(build).Fail("", text.status());
  return std::nullopt;
}

// Declares `name` by what `fill(desc, name)` makes of the host's copy of `desc`: a Declaration or
// its Status.
template <typename Desc, typename Fill>
keel_object Declare(keel_build* build, const std::optional<std::string>& name, const Desc* desc,
                    uint32_t known_flags, Fill fill) {
  if (!name) return 0;
  const absl::StatusOr<Desc> copy = CopyIn(kDescription, desc, known_flags);
  if (!copy.ok()) return Self(build).Fail(*name, copy.status());
  absl::StatusOr<Declaration> made = fill(*copy);
  if (!made.ok()) return Self(build).Fail(*name, made.status());
  return AddChecked(build, *name, *std::move(made));
}

keel_object DeclareLinear(keel_build* build, keel_str name_str, int64_t in, int64_t out,
                          uint32_t flags) {
  const std::optional<std::string> name = TakeName(build, name_str);
  if (!name) return 0;
  if (absl::Status status = CheckFlags(kDescription, flags, KEEL_LINEAR_BIAS); !status.ok())
    return Self(build).Fail(*name, status);
  Declaration d;
  d.mutable_linear()->set_in(in);
  d.mutable_linear()->set_out(out);
  d.mutable_linear()->set_bias(flags & KEEL_LINEAR_BIAS);
  return AddChecked(build, *name, std::move(d));
}

keel_object DeclareEmbedding(keel_build* build, keel_str name_str, int64_t rows, int64_t size,
                             uint32_t flags) {
  const std::optional<std::string> name = TakeName(build, name_str);
  if (!name) return 0;
  if (absl::Status status = CheckFlags(kDescription, flags, KEEL_EMBEDDING_DEFAULT); !status.ok())
    return Self(build).Fail(*name, status);
  Declaration d;
  d.mutable_embedding()->set_rows(rows);
  d.mutable_embedding()->set_size(size);
  return AddChecked(build, *name, std::move(d));
}

Declaration MakeNorm(const keel_norm_desc& desc) {
  Declaration d;
  proto::Norm* norm = d.mutable_norm();
  norm->set_kind(static_cast<proto::Norm::Kind>(desc.kind));
  norm->set_size(desc.size);
  norm->set_eps(desc.eps);
  norm->set_weight_offset(desc.weight_offset);
  norm->set_bias(desc.flags & KEEL_NORM_BIAS);
  norm->set_no_weight(desc.flags & KEEL_NORM_NO_WEIGHT);
  norm->set_cast_last(desc.flags & KEEL_NORM_CAST_LAST);
  return d;
}

keel_object DeclareNorm(keel_build* build, keel_str name, const keel_norm_desc* desc) {
  constexpr uint32_t kFlags = KEEL_NORM_BIAS | KEEL_NORM_NO_WEIGHT | KEEL_NORM_CAST_LAST;
  return Declare(build, TakeName(build, name), desc, kFlags, MakeNorm);
}

// The frequencies that the description brings.
absl::StatusOr<RopeParameters> GivenFrequencies(const keel_rope_desc& desc) {
  constexpr uint32_t kMost = 1 << 16;
  if (desc.num_inv_freq > kMost || desc.num_inv_freq != desc.rotary_size / 2) {
    return Bad(
        absl::StrCat("num_inv_freq is ", desc.num_inv_freq, ", rotary_size ", desc.rotary_size),
        "half of rotary_size, which is given");
  }
  RopeParameters rope;
  rope.theta = 0;
  rope.rotary_size = desc.rotary_size;
  rope.attention_factor = desc.attention_factor == 0 ? 1 : desc.attention_factor;
  rope.inv_freq.assign(desc.inv_freq, desc.inv_freq + desc.num_inv_freq);
  return rope;
}

absl::StatusOr<RopeParameters> FindFrequencies(const keel_rope_desc& desc, const Declarer& self) {
  if (desc.inv_freq != nullptr) return GivenFrequencies(desc);
  if (desc.num_inv_freq != 0 || desc.attention_factor != 0)
    return Bad("num_inv_freq or attention_factor is given", "both with inv_freq alone");
  RopeQuery query{desc.head_dim, desc.rotary_size, desc.theta == 0 ? 10000 : desc.theta};
  if (desc.params != nullptr) query.params = desc.params;
  if (desc.partial_rotary_factor != 0) query.partial_rotary_factor = desc.partial_rotary_factor;
  if (!(query.partial_rotary_factor > 0 && query.partial_rotary_factor <= 1)) {
    return Bad(absl::StrCat("partial_rotary_factor is ", query.partial_rotary_factor),
               "more than 0 and up to 1, or 0: the default");
  }
  return ResolveRope(query, self.config(), self.where());
}

absl::StatusOr<Declaration> MakeRope(const keel_rope_desc& desc, const Declarer& self) {
  if (desc.layout > KEEL_ROPE_INTERLEAVED || desc.num_sections > std::size(desc.sections)) {
    return Bad(absl::StrCat("layout is ", desc.layout, " with ", desc.num_sections, " sections"),
               absl::StrCat("KEEL_ROPE_HALVES or KEEL_ROPE_INTERLEAVED, and at most ",
                            std::size(desc.sections), " sections"));
  }
  Declaration d;
  proto::Rope* rope = d.mutable_rope();
  rope->set_head_dim(desc.head_dim);
  for (uint32_t i = 0; i < desc.num_sections; ++i) rope->add_sections(desc.sections[i]);
  if (desc.head_dim < 1 || desc.head_dim > kMaxDeclaredSize) return d;  // the check refuses it
  KEEL_ASSIGN_OR_RETURN(const RopeParameters found, FindFrequencies(desc, self));
  rope->set_rotary_size(found.rotary_size);
  rope->set_interleaved(desc.layout == KEEL_ROPE_INTERLEAVED);
  rope->set_fp32(desc.flags & KEEL_ROPE_FP32);
  rope->set_attention_factor(found.attention_factor);
  rope->set_sections_interleaved(desc.flags & KEEL_ROPE_SECTIONS_INTERLEAVED);
  rope->set_rope_type(found.rope_type);
  rope->set_theta(found.theta);
  rope->mutable_inv_freq()->Add(found.inv_freq.begin(), found.inv_freq.end());
  rope->mutable_long_inv_freq()->Add(found.long_inv_freq.begin(), found.long_inv_freq.end());
  rope->set_original_max_positions(found.original_max_positions);
  rope->set_dynamic_factor(found.dynamic_factor);
  return d;
}

keel_object DeclareRope(keel_build* build, const keel_rope_desc* desc) {
  const Declarer& self = Self(build);
  return Declare(build, absl::StrCat("rope.", self.last() + 1), desc,
                 KEEL_ROPE_SECTIONS_INTERLEAVED | KEEL_ROPE_FP32,
                 [&](const keel_rope_desc& copy) { return MakeRope(copy, self); });
}

Declaration MakeAttention(const keel_attention_desc& desc) {
  Declaration d;
  proto::Attention* attention = d.mutable_attention();
  attention->set_kind(static_cast<proto::Attention::Kind>(desc.kind));
  attention->set_layer(desc.layer);
  attention->set_kv_share_layer(-1);
  if (desc.flags & KEEL_ATTENTION_SHARE_KV)  // -1 would say that it shares none
    attention->set_kv_share_layer(desc.kv_share_layer < 0 ? desc.layer : desc.kv_share_layer);
  attention->set_heads(desc.heads);
  attention->set_kv_heads(desc.kv_heads);
  attention->set_qk_dim(desc.qk_dim);
  attention->set_v_dim(desc.v_dim);
  attention->set_window(desc.window);
  attention->set_chunk(desc.chunk);
  attention->set_kv_lora_rank(desc.kv_lora_rank);
  attention->set_rope_dim(desc.rope_dim);
  attention->set_scale(desc.scale == 0 && desc.qk_dim > 0
                           ? 1 / std::sqrt(static_cast<double>(desc.qk_dim))
                           : desc.scale);
  attention->set_softcap(desc.softcap);
  attention->set_impl(OrEmpty(desc.impl));
  attention->set_kv_up(desc.kv_up);
  return d;
}

keel_object DeclareAttention(keel_build* build, keel_str name, const keel_attention_desc* desc) {
  return Declare(build, TakeName(build, name), desc, KEEL_ATTENTION_SHARE_KV, MakeAttention);
}

Declaration MakeMoe(const keel_moe_desc& desc) {
  Declaration d;
  proto::Moe* moe = d.mutable_moe();
  moe->set_act(desc.act);
  moe->set_experts(desc.experts);
  moe->set_top_k(desc.top_k);
  moe->set_hidden_size(desc.hidden_size);
  moe->set_intermediate_size(desc.intermediate_size);
  moe->set_groups(desc.groups);
  moe->set_top_groups(desc.top_groups);
  moe->set_scoring(desc.scoring);
  moe->set_norm_topk(desc.flags & KEEL_MOE_NORM_TOPK);
  moe->set_bias(desc.flags & KEEL_MOE_BIAS);
  moe->set_routed_scale(desc.routed_scale == 0 ? 1 : desc.routed_scale);
  moe->set_gate(OrEmpty(desc.gate));
  moe->set_up(OrEmpty(desc.up));
  moe->set_down(OrEmpty(desc.down));
  moe->set_score_bias(OrEmpty(desc.score_bias));
  moe->set_limit(desc.limit);
  moe->set_up_offset(desc.up_offset);
  return d;
}

keel_object DeclareMoe(keel_build* build, keel_str name, const keel_moe_desc* desc) {
  return Declare(build, TakeName(build, name), desc, KEEL_MOE_NORM_TOPK | KEEL_MOE_BIAS, MakeMoe);
}

absl::StatusOr<Declaration> MakeConv(const keel_conv_desc& desc) {
  if (desc.ndim > std::size(desc.kernel)) return Bad(absl::StrCat("ndim is ", desc.ndim), "1 to 3");
  Declaration d;
  proto::Conv* conv = d.mutable_conv();
  conv->set_in(desc.in);
  conv->set_out(desc.out);
  conv->set_groups(desc.groups == 0 ? 1 : desc.groups);
  conv->set_bias(desc.flags & KEEL_CONV_BIAS);
  for (uint32_t i = 0; i < desc.ndim; ++i) {
    conv->add_kernel(desc.kernel[i]);
    conv->add_stride(desc.stride[i] == 0 ? 1 : desc.stride[i]);
    conv->add_padding(desc.padding[i]);
  }
  return d;
}

keel_object DeclareConv(keel_build* build, keel_str name, const keel_conv_desc* desc) {
  return Declare(build, TakeName(build, name), desc, KEEL_CONV_BIAS, MakeConv);
}

// With too many dimensions one too many is kept: the check refuses it.
proto::Type TypeOf(uint32_t dtype, uint32_t ndim, const int64_t* dims) {
  proto::Type type;
  type.set_dtype(static_cast<proto::DataType>(dtype));
  for (uint32_t i = 0; i < ndim && i <= KEEL_MAX_DIMS; ++i)
    type.add_dims()->set_size(i < KEEL_MAX_DIMS ? dims[i] : 1);
  return type;
}

keel_object DeclareState(keel_build* build, keel_str name, const keel_state_desc* desc) {
  return Declare(build, TakeName(build, name), desc, 0, [](const keel_state_desc& copy) {
    Declaration d;
    d.mutable_state()->set_kind(copy.kind);
    d.mutable_state()->set_layer(copy.layer);
    *d.mutable_state()->mutable_type() = TypeOf(copy.dtype, copy.ndim, copy.dims);
    return d;
  });
}

keel_object DeclareParam(keel_build* build, keel_str name_str, uint32_t dtype, uint32_t ndim,
                         const int64_t* dims) {
  const std::optional<std::string> name = TakeName(build, name_str);
  if (!name) return 0;
  if (absl::Status status = CheckListGiven("dims", dims, ndim); !status.ok())
    return Self(build).Fail(*name, status);
  Declaration d;
  *d.mutable_param()->mutable_type() = TypeOf(dtype, ndim, dims);
  return AddChecked(build, *name, std::move(d));
}

// The class must be the plugin's: what it promises is kept with the declaration.
absl::StatusOr<Declaration> MakeKernel(const PluginKernels* kernels, const keel_kernel_desc& desc) {
  KEEL_RETURN_IF_ERROR(CheckListGiven("states", desc.states, desc.num_states));
  KEEL_ASSIGN_OR_RETURN(std::string attrs, CopyText("attrs", desc.attrs));
  const PluginKernels none;
  KEEL_ASSIGN_OR_RETURN(const keel_kernel_class* found,
                        (kernels == nullptr ? none : *kernels).Find(OrEmpty(desc.kernel)));
  Declaration d;
  d.mutable_kernel()->set_kernel(OrEmpty(desc.kernel));
  d.mutable_kernel()->set_attrs(std::move(attrs));
  d.mutable_kernel()->set_rowwise(found->flags & KEEL_KERNEL_ROWWISE);
  d.mutable_kernel()->mutable_states()->Add(desc.states, desc.states + desc.num_states);
  return d;
}

keel_object DeclareKernel(keel_build* build, keel_str name, const keel_kernel_desc* desc) {
  return Declare(build, TakeName(build, name), desc, 0, [&](const keel_kernel_desc& copy) {
    return MakeKernel(Self(build).kernels(), copy);
  });
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

Declarer::Declarer(proto::Graph* graph, const boost::json::object& config, std::string where,
                   const PluginKernels* kernels)
    : keel_build{&kApi},
      graph_(graph),
      config_(config),
      where_(std::move(where)),
      kernels_(kernels) {}

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
