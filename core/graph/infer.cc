#include "core/graph/infer.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/graph/infer_recur.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;
using Types = absl::StatusOr<std::vector<TensorType>>;
using Inputs = absl::Span<const TensorType* const>;

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

std::vector<TensorType> One(TensorType type) {
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
  return IsFloat(x) ? absl::OkStatus()
                    : Bad(absl::StrCat("got ", ToString(x), ", expected floating point"));
}

absl::Status ExpectLast(const TensorType& x, int64_t size) {
  if (x.rank() >= 1 && x.dims.back().is(size)) return absl::OkStatus();
  return Bad(absl::StrCat("got ", ToString(x), ", expected a last dimension of ", size));
}

// Everything an inference rule sees.
struct Call {
  const proto::Graph& graph;
  const proto::Node& node;
  Inputs inputs;

  const TensorType& in(int i) const { return *inputs[i]; }
  int num_inputs() const { return static_cast<int>(inputs.size()); }
  int64_t arg(int i) const { return node.ints(i); }

  absl::Status ExpectInts(int at_least) const {
    if (node.ints_size() >= at_least) return absl::OkStatus();
    return Bad(absl::StrCat("has ", node.ints_size(), " integer attributes, expected ", at_least));
  }
  absl::Status ExpectReals(int n) const {
    if (node.reals_size() == n) return absl::OkStatus();
    return Bad(absl::StrCat("has ", node.reals_size(), " number attributes, expected ", n));
  }
};

absl::StatusOr<const Declaration*> Object(const Call& call, Declaration::KindCase kind) {
  const uint32_t object = call.node.object();
  if (object == 0 || object > static_cast<uint32_t>(call.graph.declarations_size())) {
    return Bad(absl::StrCat("object ", object, " was not declared"));
  }
  const Declaration& declaration = call.graph.declarations(static_cast<int>(object) - 1);
  if (declaration.kind_case() == kind) return &declaration;
  return Bad(absl::StrCat("object '", declaration.name(), "' is of another kind"));
}

Types InferLinear(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kLinear));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d->linear().in()));
  TensorType out = call.in(0);
  out.dims.back() = {d->linear().out(), "", 1};
  return One(out);
}

Types InferEmbed(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kEmbedding));
  if (!IsInt(call.in(0)))
    return Bad(absl::StrCat("got ", ToString(call.in(0)), ", expected integer ids"));
  TensorType out{proto::MODEL, call.in(0).dims};
  out.dims.push_back({d->embedding().size(), "", 1});
  return One(out);
}

Types InferNorm(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kNorm));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d->norm().size()));
  return One(call.in(0));
}

Types InferRope(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kRope));
  const TensorType& x = call.in(0);
  const TensorType& positions = call.in(1);
  KEEL_RETURN_IF_ERROR(ExpectFloat(x));
  KEEL_RETURN_IF_ERROR(ExpectLast(x, d->rope().head_dim()));
  if (x.rank() != 3)
    return Bad(absl::StrCat("got ", ToString(x), ", expected [N, heads, head_dim]"));
  const int axes = d->rope().sections_size();
  const bool shaped =
      axes == 0 ? positions.rank() == 1 : positions.rank() == 2 && positions.dims[0].is(axes);
  if (!shaped || !IsInt(positions) || positions.dims.back() != x.dims[0]) {
    return Bad(absl::StrCat("got positions ", ToString(positions), " for ", ToString(x),
                            ", expected integers [", axes == 0 ? "" : absl::StrCat(axes, ", "),
                            "N]"));
  }
  return One(x);
}

// Named arguments that the host itself reads must have their shape; it hands the others on unread.
absl::Status CheckAttentionArgs(const Call& call, const proto::Attention& d) {
  for (int i = 0; i < call.node.names_size() && i < call.node.ints_size(); ++i) {
    const std::string& name = call.node.names(i);
    const bool per_head = name == "alibi_slopes" || name == "sinks";
    if (!per_head && name != "position_bias" && name != "segments") continue;
    if (call.arg(i) < 0 || call.arg(i) >= call.num_inputs() - 3)
      return Bad(absl::StrCat("argument ", name, " is no tensor"));
    const TensorType& x = call.in(static_cast<int>(call.arg(i)) + 3);
    if (per_head ? x.rank() != 1 || !x.dims[0].is(d.heads()) || !IsFloat(x)
        : name == "segments"
            ? x.rank() != 1 || x.dtype != proto::I32 || d.kind() != proto::Attention::ENCODER
            : x.rank() != 3 || !x.dims[0].is(d.heads())) {
      return Bad(absl::StrCat("argument ", name, " is ", ToString(x), ", expected ",
                              per_head             ? absl::StrCat("numbers [", d.heads(), "]")
                              : name == "segments" ? std::string("I32[S + 1] in an encoder")
                                                   : absl::StrCat("[", d.heads(), ", N, K]")));
    }
  }
  return absl::OkStatus();
}

Types InferAttention(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, Object(call, Declaration::kAttention));
  const proto::Attention& d = declaration->attention();
  const auto expect = [](const char* what, const TensorType* x, const Extent& n, int64_t heads,
                         int64_t size) -> absl::Status {
    if (x != nullptr && x->dtype == proto::MODEL && x->rank() == 3 && x->dims[0] == n &&
        x->dims[1].is(heads) && x->dims[2].is(size)) {
      return absl::OkStatus();
    }
    return Bad(absl::StrCat(what, " is ", x == nullptr ? "missing" : ToString(*x),
                            ", expected MODEL[N, ", heads, ", ", size, "]"));
  };
  const TensorType& q = call.in(0);
  if (q.rank() != 3)
    return Bad(absl::StrCat("q is ", ToString(q), ", expected [N, heads, head_dim]"));
  KEEL_RETURN_IF_ERROR(expect("q", &q, q.dims[0], d.heads(), d.qk_dim()));
  if (d.kv_share_layer() < 0) {
    KEEL_RETURN_IF_ERROR(expect("k", call.inputs[1], q.dims[0], d.kv_heads(), d.qk_dim()));
    KEEL_RETURN_IF_ERROR(expect("v", call.inputs[2], q.dims[0], d.kv_heads(), d.v_dim()));
  } else if (call.inputs[1] != nullptr || call.inputs[2] != nullptr) {
    return Bad("k and v were given to a layer that shares another's (KEEL_ATTENTION_SHARE_KV)");
  }
  KEEL_RETURN_IF_ERROR(CheckAttentionArgs(call, d));
  TensorType out = q;
  out.dims[2] = {d.v_dim(), "", 1};
  return One(out);
}

Types InferMoe(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, Object(call, Declaration::kMoe));
  const proto::Moe& d = declaration->moe();
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  KEEL_RETURN_IF_ERROR(ExpectLast(call.in(0), d.hidden_size()));
  const bool routed = call.node.op() == proto::OP_MOE_ROUTED;
  for (int i = 1; i < call.num_inputs(); ++i) {
    KEEL_RETURN_IF_ERROR(ExpectLast(call.in(i), routed ? d.top_k() : d.experts()));
    if (call.in(0).rank() != 2 || call.in(i).rank() != 2 ||
        call.in(i).dims[0] != call.in(0).dims[0]) {
      return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(i)),
                              ", expected two dimensions and a row for each token"));
    }
  }
  if (routed && !IsInt(call.in(1)))
    return Bad(absl::StrCat("expert ids are ", ToString(call.in(1)), ", expected integers"));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(call.num_inputs() - 1)));
  return One(call.in(0));
}

// Sizes that a stride divides stay exact for a symbolic extent; others must be numbers.
absl::StatusOr<Extent> ConvExtent(const Extent& in, int64_t kernel, int64_t stride,
                                  int64_t padding) {
  if (!in.symbolic()) {
    const int64_t span = in.size + 2 * padding - kernel;
    if (span < 0) return Bad("the kernel is larger than its padded input");
    return Extent{span / stride + 1, "", 1};
  }
  const int64_t slack = 2 * padding - kernel;
  if (slack >= 0 || slack < -stride)
    return Bad("a symbolic size needs a padding that keeps size / stride");
  Extent out{in.size, in.symbol, in.divisor * stride};
  if (in.size % stride == 0) out = {in.size / stride, in.symbol, in.divisor};
  return out;
}

Types InferConv(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* declaration, Object(call, Declaration::kConv));
  const proto::Conv& d = declaration->conv();
  const TensorType& x = call.in(0);
  const int nd = d.kernel_size();
  const bool one_row = nd == 1 && x.rank() == 2;  // [N, in]
  if (!(one_row ? x.dims[1].is(d.in()) : x.rank() == nd + 2 && x.dims[1].is(d.in()))) {
    return Bad(absl::StrCat("got ", ToString(x), ", expected ", d.in(), " channels"));
  }
  TensorType out = x;
  if (one_row) {
    KEEL_ASSIGN_OR_RETURN(out.dims[0],
                          ConvExtent(x.dims[0], d.kernel(0), d.stride(0), d.padding(0)));
    out.dims[1] = {d.out(), "", 1};
    return One(out);
  }
  out.dims[1] = {d.out(), "", 1};
  for (int i = 0; i < nd; ++i) {
    KEEL_ASSIGN_OR_RETURN(out.dims[i + 2],
                          ConvExtent(x.dims[i + 2], d.kernel(i), d.stride(i), d.padding(i)));
  }
  return One(out);
}

Types InferRecur(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kState));
  KEEL_ASSIGN_OR_RETURN(TensorType out, InferRecurrence(d->state(), call.node, call.inputs));
  return One(out);
}

Types InferParam(const Call& call) {
  KEEL_ASSIGN_OR_RETURN(const Declaration* d, Object(call, Declaration::kParam));
  KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(d->param().type()));
  return One(type);
}

Types InferBinary(const Call& call) {
  if (call.in(0).dtype != call.in(1).dtype) {
    return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(1)),
                            ", expected equal types; cast one"));
  }
  TensorType out{call.in(0).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(call.in(0).dims, call.in(1).dims));
  return One(out);
}

Types InferActMul(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  if (call.arg(0) < KEEL_ACT_SILU || call.arg(0) > KEEL_ACT_QUICK_GELU) {
    return Bad(absl::StrCat("activation ", call.arg(0), " is not known"));
  }
  if (call.in(0) != call.in(1)) {
    return Bad(absl::StrCat("gate is ", ToString(call.in(0)), ", up is ", ToString(call.in(1)),
                            ", expected the same"));
  }
  return One(call.in(0));
}

Types InferUnary(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  const int64_t kind = call.arg(0);
  const bool known =
      (kind >= KEEL_UNARY_NEG && kind <= KEEL_UNARY_ABS) ||
      (kind >= KEEL_UNARY_ACT + KEEL_ACT_SILU && kind <= KEEL_UNARY_ACT + KEEL_ACT_QUICK_GELU);
  if (!known) return Bad(absl::StrCat("function ", kind, " is not known"));
  if (kind != KEEL_UNARY_NEG && kind != KEEL_UNARY_ABS)
    KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  return One(call.in(0));
}

Types InferMatmul(const Call& call) {
  const TensorType &a = call.in(0), &b = call.in(1);
  if (a.rank() < 2 || b.rank() < 2 || a.dtype != b.dtype || a.dims.back() != b.dims[b.rank() - 2]) {
    return Bad(absl::StrCat("got ", ToString(a), " and ", ToString(b),
                            ", expected [.., M, K] and [.., K, N]"));
  }
  TensorType out{a.dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(absl::MakeSpan(a.dims).first(a.rank() - 2),
                                            absl::MakeSpan(b.dims).first(b.rank() - 2)));
  out.dims.push_back(a.dims[a.rank() - 2]);
  out.dims.push_back(b.dims.back());
  return One(out);
}

Types InferAlongDim(const Call& call) {  // softmax, cumsum
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  KEEL_RETURN_IF_ERROR(NormalizeDim(call.arg(0), call.in(0).rank()).status());
  if (call.node.op() == proto::OP_SOFTMAX) KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  return One(call.in(0));
}

Types InferReduce(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(3));
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(call.arg(0), call.in(0).rank()));
  if (call.arg(1) < KEEL_REDUCE_SUM || call.arg(1) > KEEL_REDUCE_MAX)
    return Bad(absl::StrCat("reduction ", call.arg(1), " is not known"));
  TensorType out = call.in(0);
  if (call.arg(2) != 0) {
    out.dims[dim] = Extent{};
  } else {
    out.dims.erase(out.dims.begin() + dim);
  }
  return One(out);
}

Types InferTopk(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  const TensorType& x = call.in(0);
  const int64_t k = call.arg(0);
  if (x.rank() < 1 || k < 1 || x.dims.back().symbolic() || k > x.dims.back().size) {
    return Bad(absl::StrCat("top ", k, " of ", ToString(x)));
  }
  TensorType values = x, indices{proto::I64, x.dims};
  values.dims.back() = indices.dims.back() = {k, "", 1};
  return std::vector<TensorType>{values, indices};
}

Types InferCast(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  const auto dtype = static_cast<int>(call.arg(0));
  if (dtype != call.arg(0) || !proto::DataType_IsValid(dtype))
    return Bad(absl::StrCat("data type ", call.arg(0), " is not known"));
  return One({static_cast<proto::DataType>(dtype), call.in(0).dims});
}

Types InferView(const Call& call) {
  if (call.node.ints_size() > KEEL_MAX_DIMS) return Bad("too many dimensions");
  TensorType out{call.in(0).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, ResolveView(call.in(0).dims, call.node.ints()));
  return One(out);
}

Types InferPermute(const Call& call) {
  const TensorType& x = call.in(0);
  TensorType out{x.dtype, {}};
  std::vector<bool> seen(x.rank());
  for (const int64_t dim : call.node.ints()) {
    KEEL_ASSIGN_OR_RETURN(const int at, NormalizeDim(dim, x.rank()));
    if (seen[at]) return Bad(absl::StrCat("dimension ", dim, " comes twice"));
    seen[at] = true;
    out.dims.push_back(x.dims[at]);
  }
  if (out.rank() != x.rank())
    return Bad(absl::StrCat("got ", out.rank(), " dimensions for ", ToString(x)));
  return One(out);
}

Types InferNarrow(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(3));
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(call.arg(0), call.in(0).rank()));
  TensorType out = call.in(0);
  const Extent& extent = out.dims[dim];
  const int64_t start = call.arg(1), length = call.arg(2);
  if (start < 0 || length < 1 || extent.symbolic() || start > extent.size - length) {
    return Bad(absl::StrCat("[", start, ", ", start, " + ", length, ") of dimension ", dim, " of ",
                            ToString(call.in(0))));
  }
  out.dims[dim] = {length, "", 1};
  return One(out);
}

Types InferCat(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(1));
  if (call.num_inputs() == 0) return Bad("got nothing to concatenate");
  TensorType out = call.in(0);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(call.arg(0), out.rank()));
  for (int i = 1; i < call.num_inputs(); ++i) {
    TensorType other = call.in(i);
    const bool ranked =
        other.rank() == out.rank() && !out.dims[dim].symbolic() && !other.dims[dim].symbolic();
    const int64_t size = ranked ? other.dims[dim].size : 0;
    if (ranked) other.dims[dim] = out.dims[dim];
    if (!ranked || other != out) {
      return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(i)),
                              ", expected equal but for dimension ", dim));
    }
    out.dims[dim].size += size;
  }
  return One(out);
}

Types InferRepeat(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(2));
  TensorType out = call.in(0);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(call.arg(0), out.rank()));
  const int64_t times = call.arg(1);
  if (times < 1 || times > (1 << 20)) return Bad(absl::StrCat("repeat ", times, " times"));
  Extent& extent = out.dims[dim];
  const int64_t common = std::gcd(times, extent.divisor);
  extent.divisor /= common;
  if (__builtin_mul_overflow(extent.size, times / common, &extent.size))
    return Bad(absl::StrCat(ToString(call.in(0)), " repeated ", times, " times is too large"));
  return One(out);
}

Types InferWhere(const Call& call) {
  if (call.in(0).dtype != proto::BOOL || call.in(1).dtype != call.in(2).dtype) {
    return Bad(absl::StrCat("got ", ToString(call.in(0)), ", ", ToString(call.in(1)), ", ",
                            ToString(call.in(2)),
                            ", expected a bool condition and two of one type"));
  }
  TensorType out{call.in(1).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(call.in(1).dims, call.in(2).dims));
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(out.dims, call.in(0).dims));
  return One(out);
}

Types InferGatherRows(const Call& call) {
  const TensorType &x = call.in(0), &indices = call.in(1);
  if (x.rank() < 1 || !IsInt(indices))
    return Bad(
        absl::StrCat("got ", ToString(x), " at ", ToString(indices), ", expected integer indices"));
  TensorType out{x.dtype, indices.dims};
  out.dims.insert(out.dims.end(), x.dims.begin() + 1, x.dims.end());
  return One(out);
}

Types InferPutRows(const Call& call) {
  const TensorType &x = call.in(0), &indices = call.in(1), &rows = call.in(2);
  TensorType expected = x;
  if (x.rank() >= 1 && indices.rank() == 1) expected.dims[0] = indices.dims[0];
  if (x.rank() < 1 || indices.rank() != 1 || !IsInt(indices) || rows != expected) {
    return Bad(
        absl::StrCat("got rows ", ToString(rows), " at ", ToString(indices), " for ", ToString(x)));
  }
  return One(x);
}

Types InferConstant(const Call& call) {
  if (call.node.types_size() != 1) return Bad("has no type");
  KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(call.node.types(0)));
  int64_t bytes =
      type.dtype == proto::MODEL ? 0 : (static_cast<int64_t>(type.dtype) >> 8 & 0xff) / 8;
  for (const Extent& extent : type.dims) {
    if (extent.symbolic() || __builtin_mul_overflow(bytes, extent.size, &bytes))
      return Bad("a constant needs plain sizes");
  }
  if (bytes == 0 || bytes != static_cast<int64_t>(call.node.data().size())) {
    return Bad(absl::StrCat(ToString(type), " with ", call.node.data().size(), " bytes of data"));
  }
  return One(type);
}

Types InferAffine(const Call& call) {  // affine, clamp
  KEEL_RETURN_IF_ERROR(call.ExpectReals(2));
  KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  return One(call.in(0));
}

Types InferMark(const Call& call) {
  KEEL_RETURN_IF_ERROR(call.ExpectInts(2));
  if (call.arg(0) != KEEL_MARK_LAYER_BEGIN && call.arg(0) != KEEL_MARK_LAYER_END)
    return Bad("unknown mark");
  return std::vector<TensorType>();
}

// A kernel's types come from the plugin while recording; a file's are taken as they stand.
Types InferCall(const Call& call) {
  KEEL_RETURN_IF_ERROR(Object(call, Declaration::kKernel).status());
  std::vector<TensorType> out;
  for (const proto::Type& type : call.node.types()) {
    KEEL_ASSIGN_OR_RETURN(TensorType parsed, FromProto(type));
    out.push_back(parsed);
  }
  return out;
}

struct Rule {
  int min_inputs, max_inputs;  // -1: any number
  Types (*infer)(const Call&);
};

const Rule* FindRule(proto::Op op) {
  static const auto* rules = new std::map<proto::Op, Rule>{
      {proto::OP_LINEAR, {1, 1, InferLinear}},
      {proto::OP_EMBED, {1, 1, InferEmbed}},
      {proto::OP_NORM, {1, 1, InferNorm}},
      {proto::OP_ROPE, {2, 2, InferRope}},
      {proto::OP_ATTENTION, {3, -1, InferAttention}},
      {proto::OP_MOE, {2, 2, InferMoe}},
      {proto::OP_MOE_ROUTED, {3, 3, InferMoe}},
      {proto::OP_CONV, {1, 1, InferConv}},
      {proto::OP_RECUR, {1, -1, InferRecur}},
      {proto::OP_PARAM, {0, 0, InferParam}},
      {proto::OP_CALL, {0, -1, InferCall}},
      {proto::OP_ADD, {2, 2, InferBinary}},
      {proto::OP_SUB, {2, 2, InferBinary}},
      {proto::OP_MUL, {2, 2, InferBinary}},
      {proto::OP_DIV, {2, 2, InferBinary}},
      {proto::OP_AFFINE, {1, 1, InferAffine}},
      {proto::OP_CLAMP, {1, 1, InferAffine}},
      {proto::OP_UNARY, {1, 1, InferUnary}},
      {proto::OP_ACT_MUL, {2, 2, InferActMul}},
      {proto::OP_MATMUL, {2, 2, InferMatmul}},
      {proto::OP_SOFTMAX, {1, 1, InferAlongDim}},
      {proto::OP_REDUCE, {1, 1, InferReduce}},
      {proto::OP_CUMSUM, {1, 1, InferAlongDim}},
      {proto::OP_TOPK, {1, 1, InferTopk}},
      {proto::OP_CAST, {1, 1, InferCast}},
      {proto::OP_VIEW, {1, 1, InferView}},
      {proto::OP_PERMUTE, {1, 1, InferPermute}},
      {proto::OP_NARROW, {1, 1, InferNarrow}},
      {proto::OP_CAT, {1, -1, InferCat}},
      {proto::OP_REPEAT, {1, 1, InferRepeat}},
      {proto::OP_WHERE, {3, 3, InferWhere}},
      {proto::OP_GATHER_ROWS, {2, 2, InferGatherRows}},
      {proto::OP_PUT_ROWS, {3, 3, InferPutRows}},
      {proto::OP_CONSTANT, {0, 0, InferConstant}},
      {proto::OP_MARK, {0, 0, InferMark}},
  };
  const auto it = rules->find(op);
  return it == rules->end() ? nullptr : &it->second;
}

// Only attention's k and v may be absent.
bool MayBeMissing(proto::Op op, size_t input) {
  return op == proto::OP_ATTENTION && (input == 1 || input == 2);
}

}  // namespace

Types InferTypes(const proto::Graph& graph, const proto::Node& node, Inputs inputs) {
  const Rule* rule = FindRule(node.op());
  if (rule == nullptr)
    return absl::UnimplementedError(absl::StrCat("op ", node.op(), " is not known to this host"));
  const int n = static_cast<int>(inputs.size());
  if (n < rule->min_inputs || (rule->max_inputs >= 0 && n > rule->max_inputs)) {
    return Bad(absl::StrCat("got ", n, " operands, expected ", rule->min_inputs));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr && !MayBeMissing(node.op(), i))
      return Bad(absl::StrCat("operand ", i, " is missing"));
  }
  return rule->infer({graph, node, inputs});
}

std::string NodeName(const proto::Graph& graph, const proto::Node& node) {
  std::string op = absl::AsciiStrToLower(absl::StripPrefix(proto::Op_Name(node.op()), "OP_"));
  if (node.object() == 0 || node.object() > static_cast<uint32_t>(graph.declarations_size()))
    return op;
  return absl::StrCat(op, " ", graph.declarations(static_cast<int>(node.object()) - 1).name());
}

}  // namespace keel
