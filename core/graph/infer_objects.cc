#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/infer.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {

using proto::Declaration;

std::vector<TensorType> OneType(TensorType type) {
  std::vector<TensorType> out;
  out.push_back(std::move(type));
  return out;
}

bool IsFloat(const TensorType& type) {
  return type.dtype == proto::MODEL || type.dtype == proto::F32 || type.dtype == proto::F16 ||
         type.dtype == proto::BF16;
}

bool IsInt(const TensorType& type) { return type.dtype == proto::I64 || type.dtype == proto::I32; }

absl::Status ExpectFloat(const TensorType& x) {
  if (IsFloat(x)) return absl::OkStatus();
  return Bad(absl::StrCat("got ", ToString(x)), "floating point", "cast it");
}

absl::StatusOr<const Declaration*> ObjectOf(const OpCall& call, Declaration::KindCase kind) {
  const uint32_t object = call.node.object();
  if (object == 0 || object > static_cast<uint32_t>(call.graph.declarations_size())) {
    return Bad(absl::StrCat("object ", object, " was not declared"),
               absl::StrCat("1 to ", call.graph.declarations_size()));
  }
  const Declaration& d = call.graph.declarations(static_cast<int>(object) - 1);
  if (d.kind_case() == kind) return &d;
  return Bad(absl::StrCat("object '", Shown(d.name()), "' is of another kind"), "what the op runs");
}

namespace {

absl::Status ExpectLast(const TensorType& x, int64_t size) {
  if (x.rank() >= 1 && x.dims.back().is(size)) return absl::OkStatus();
  return Bad(absl::StrCat("got ", ToString(x)), absl::StrCat("a last dimension of ", size));
}

// What the flags of an argument promise about its tensor.
absl::Status CheckArgFlags(const OpCall& call, const proto::Attention& d, int i) {
  const op::Arguments args(call.node);
  const uint32_t flags = args.flags(i), shape = flags & ~KEEL_ARG_OPTIONAL;
  if (shape == 0) return absl::OkStatus();
  const Extent heads{d.heads(), "", 1}, kv_heads{d.kv_heads(), "", 1};
  const Extent* first = shape == KEEL_ARG_PER_HEAD      ? &heads
                        : shape == KEEL_ARG_PER_KV_HEAD ? &kv_heads
                        : shape == KEEL_ARG_PER_TOKEN   ? &call.in(0).dims[0]
                                                        : nullptr;
  const std::string name = absl::StrCat("argument ", Shown(args.name(i)));
  if (first == nullptr)
    return Bad(absl::StrCat(name, " has the flags ", flags),
               "KEEL_ARG_OPTIONAL and at most one other KEEL_ARG_*");
  const TensorType* x = args.operand(i) ? &call.in(*args.operand(i)) : nullptr;
  if (x != nullptr && x->rank() >= 1 && x->dims[0] == *first) return absl::OkStatus();
  return Bad(absl::StrCat(name, " is ", x == nullptr ? "a number" : ToString(*x)),
             absl::StrCat("a tensor whose first dimension is as its flags, ", flags, ", say"));
}

// What an argument that the host itself reads must be; "": it is another.
std::string ExpectedArg(absl::string_view name, const proto::Attention& d) {
  if (name == "alibi_slopes" || name == "sinks") return absl::StrCat("numbers [", d.heads(), "]");
  if (name == "segments") return "I32[S + 1] in an encoder";
  if (name == "groups") return "I32[N] of causal attention";
  if (name == "position_bias") return absl::StrCat("[", d.heads(), ", N, K]");
  if (name == "distance_bias")
    return absl::StrCat("numbers [", d.heads(), ", 2 D + 1], not of MLA");
  if (name == "query_distance_bias")
    return absl::StrCat("numbers [N, ", d.heads(), ", 2 D + 1], not of MLA");
  if (name == "key_distance_bias")
    return absl::StrCat("numbers [N, ", d.heads(), ", 2 D + 1] in an encoder");
  return "";
}

// An odd number of columns: one for each distance that is told apart, of keys on either side.
bool IsOfDistances(const TensorType& x) {
  const Extent& columns = x.dims.back();
  return IsFloat(x) && !columns.symbolic() && columns.size % 2 == 1;
}

bool IsExpectedArg(absl::string_view name, const proto::Attention& d, const OpCall& call,
                   const TensorType& x) {
  const bool encoder = d.kind() == proto::Attention::ENCODER;
  if (name == "segments") return x.rank() == 1 && x.dtype == proto::I32 && encoder;
  if (name == "groups")
    return x.rank() == 1 && x.dims[0] == call.in(0).dims[0] && x.dtype == proto::I32 &&
           d.kind() == proto::Attention::CAUSAL;
  if (name == "position_bias") return x.rank() == 3 && x.dims[0].is(d.heads());
  if (name == "distance_bias")
    return x.rank() == 2 && x.dims[0].is(d.heads()) && IsOfDistances(x) &&
           d.kind() != proto::Attention::MLA;
  if (absl::EndsWith(name, "_distance_bias")) {
    return x.rank() == 3 && x.dims[0] == call.in(0).dims[0] && x.dims[1].is(d.heads()) &&
           IsOfDistances(x) &&
           (encoder || (name[0] == 'q' && d.kind() == proto::Attention::CAUSAL));
  }
  return x.rank() == 1 && x.dims[0].is(d.heads()) && IsFloat(x);
}

// Named arguments that the host itself reads must have their shape; it hands the others on unread.
absl::Status CheckAttentionArgs(const OpCall& call, const proto::Attention& d) {
  const op::Arguments args(call.node);
  for (int i = 0; i < args.size(); ++i) {
    KEEL_RETURN_IF_ERROR(CheckArgFlags(call, d, i));
    const std::string& name = args.name(i);
    const std::string expected = ExpectedArg(name, d);
    if (expected.empty()) continue;
    if (!args.operand(i).has_value())
      return Bad(absl::StrCat("argument ", name, " is no tensor"), expected);
    const TensorType& x = call.in(*args.operand(i));
    if (!IsExpectedArg(name, d, call, x))
      return Bad(absl::StrCat("argument ", name, " is ", ToString(x)), expected);
  }
  return absl::OkStatus();
}

// Sizes that a stride divides stay exact for a symbolic extent; others must be numbers.
absl::StatusOr<Extent> ConvExtent(const Extent& in, int64_t kernel, int64_t stride,
                                  int64_t padding) {
  if (!in.symbolic()) {
    const int64_t span = in.size + 2 * padding - kernel;
    if (span < 0) {
      return Bad(
          absl::StrCat("a kernel of ", kernel, " over ", in.size, " with a padding of ", padding),
          "a kernel that fits");
    }
    return Extent{span / stride + 1, "", 1};
  }
  const int64_t slack = 2 * padding - kernel;
  if (slack >= 0 || slack < -stride) {
    return Bad(absl::StrCat("a symbolic size with kernel ", kernel, ", stride ", stride,
                            " and padding ", padding),
               "a padding that keeps size / stride");
  }
  Extent out{in.size, in.symbol, in.divisor * stride};
  if (in.size % stride == 0) out = {in.size / stride, in.symbol, in.divisor};
  return out;
}

}  // namespace

InferredTypes InferLinear(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, ObjectOf(call, Declaration::kLinear));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d->linear().in()));
  TensorType out = call.in(0);
  out.dims.back() = {d->linear().out(), "", 1};
  return OneType(out);
}

InferredTypes InferEmbed(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, ObjectOf(call, Declaration::kEmbedding));
  if (!IsInt(call.in(0))) return Bad(absl::StrCat("got ", ToString(call.in(0))), "integer ids");
  TensorType out{proto::MODEL, call.in(0).dims};
  out.dims.push_back({d->embedding().size(), "", 1});
  return OneType(out);
}

InferredTypes InferNorm(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, ObjectOf(call, Declaration::kNorm));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d->norm().size()));
  return OneType(call.in(0));
}

InferredTypes InferRope(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, ObjectOf(call, Declaration::kRope));
  const TensorType& x = call.in(0);
  const TensorType& positions = call.in(1);
  KEEL_RETURN_IF_ERROR(ExpectFloat(x));
  KEEL_RETURN_IF_ERROR(ExpectLast(x, d->rope().head_dim()));
  if (x.rank() != 3) return Bad(absl::StrCat("got ", ToString(x)), "[N, heads, head_dim]");
  const int axes = d->rope().sections_size();
  const bool shaped =
      axes == 0 ? positions.rank() == 1 : positions.rank() == 2 && positions.dims[0].is(axes);
  if (!shaped || !IsInt(positions) || positions.dims.back() != x.dims[0]) {
    return Bad(absl::StrCat("got positions ", ToString(positions), " for ", ToString(x)),
               absl::StrCat("integers [", axes == 0 ? "" : absl::StrCat(axes, ", "), "N]"));
  }
  return OneType(x);
}

InferredTypes InferAttention(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, ObjectOf(call, Declaration::kAttention));
  const proto::Attention& d = declaration->attention();
  const auto expect = [](const char* what, const TensorType* x, const Extent& n, int64_t heads,
                         int64_t size) -> absl::Status {
    if (x != nullptr && x->dtype == proto::MODEL && x->rank() == 3 && x->dims[0] == n &&
        x->dims[1].is(heads) && x->dims[2].is(size)) {
      return absl::OkStatus();
    }
    return Bad(absl::StrCat(what, " is ", x == nullptr ? "missing" : ToString(*x)),
               absl::StrCat("MODEL[N, ", heads, ", ", size, "]"));
  };
  const TensorType& q = call.in(0);
  if (q.rank() != 3) return Bad(absl::StrCat("q is ", ToString(q)), "[N, heads, head_dim]");
  KEEL_RETURN_IF_ERROR(expect("q", &q, q.dims[0], d.heads(), d.qk_dim()));
  const bool latent = d.kind() == proto::Attention::MLA;
  if (d.kv_share_layer() < 0) {
    KEEL_RETURN_IF_ERROR(expect("k", call.inputs[1], q.dims[0], d.kv_heads(),
                                latent ? d.kv_lora_rank() : d.qk_dim()));
    KEEL_RETURN_IF_ERROR(
        expect("v", call.inputs[2], q.dims[0], d.kv_heads(), latent ? d.rope_dim() : d.v_dim()));
  } else if (call.inputs[1] != nullptr || call.inputs[2] != nullptr) {
    return Bad("got k and v", "none in a layer that shares another's (KEEL_ATTENTION_SHARE_KV)");
  }
  KEEL_RETURN_IF_ERROR(CheckAttentionArgs(call, d));
  TensorType out = q;
  out.dims[2] = {d.v_dim(), "", 1};
  return OneType(out);
}

InferredTypes InferMoe(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, ObjectOf(call, Declaration::kMoe));
  const proto::Moe& d = declaration->moe();
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d.hidden_size()));
  const bool routed = call.node.op() == proto::OP_MOE_ROUTED;
  for (int i = 1; i < call.num_inputs(); ++i) {
    KEEL_RETURN_IF_ERROR(ExpectLast(call.in(i), routed ? d.top_k() : d.experts()));
    if (call.in(0).rank() != 2 || call.in(i).rank() != 2 ||
        call.in(i).dims[0] != call.in(0).dims[0]) {
      return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(i))),
                 "two dimensions and a row for each token");
    }
  }
  if (routed && !IsInt(call.in(1)))
    return Bad(absl::StrCat("expert ids are ", ToString(call.in(1))), "integers");
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(call.num_inputs() - 1)));
  return OneType(call.in(0));
}

InferredTypes InferConv(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, ObjectOf(call, Declaration::kConv));
  const proto::Conv& d = declaration->conv();
  const TensorType& x = call.in(0);
  const int nd = d.kernel_size();
  const bool one_row = nd == 1 && x.rank() == 2;  // [N, in]
  if (!(one_row || x.rank() == nd + 2) || !x.dims[1].is(d.in())) {
    return Bad(absl::StrCat("got ", ToString(x)),
               absl::StrCat(nd, " dimensions of space and ", d.in(), " channels, dimension 1"));
  }
  TensorType out = x;
  out.dims[1] = {d.out(), "", 1};
  const int space = one_row ? 0 : 2;  // the first dimension of space
  for (int i = 0; i < nd; ++i) {
    KEEL_ASSIGN_OR_RETURN(out.dims[space + i],
                          ConvExtent(x.dims[space + i], d.kernel(i), d.stride(i), d.padding(i)));
  }
  return OneType(out);
}

InferredTypes InferParam(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, ObjectOf(call, Declaration::kParam));
  KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(d->param().type()));
  return OneType(type);
}

// A kernel's types come from the plugin while recording; a file's are taken as they stand, but that
// a size which is not known yet must be an operand's.
InferredTypes InferKernelCall(const OpCall& call) {
  constexpr int64_t kMaxSize = int64_t{1} << 30;
  KEEL_RETURN_IF_ERROR(ObjectOf(call, Declaration::kKernel).status());
  if (call.node.types().empty()) return Bad("gives nothing", "a result");
  const auto is_known = [&](const Extent& extent) {
    if (!extent.symbolic()) return extent.size <= kMaxSize;
    for (const TensorType* in : call.inputs) {
      if (std::find(in->dims.begin(), in->dims.end(), extent) != in->dims.end()) return true;
    }
    return false;
  };
  std::vector<TensorType> out;
  for (const proto::Type& type : call.node.types()) {
    KEEL_ASSIGN_OR_RETURN(TensorType parsed, FromProto(type));
    if (!std::all_of(parsed.dims.begin(), parsed.dims.end(), is_known))
      return Bad(absl::StrCat("gives ", ToString(parsed)), "sizes up to 2^30, or an operand's");
    out.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace keel
