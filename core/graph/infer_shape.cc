#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/infer.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int64_t kMaxTimes = 1 << 20;

}  // namespace

InferredTypes InferView(const OpCall& call) {
  const absl::Span<const int64_t> dims = op::View(call.node).dims();
  if (dims.size() > KEEL_MAX_DIMS) {
    return Bad(absl::StrCat("got ", dims.size(), " dimensions"),
               absl::StrCat("at most ", KEEL_MAX_DIMS));
  }
  TensorType out{call.in(0).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, ResolveView(call.in(0).dims, dims));
  return OneType(out);
}

InferredTypes InferPermute(const OpCall& call) {
  const TensorType& x = call.in(0);
  TensorType out{x.dtype, {}};
  std::vector<bool> seen(x.rank());
  for (const int64_t dim : op::Permute(call.node).order()) {
    KEEL_ASSIGN_OR_RETURN(const int at, NormalizeDim(dim, x.rank()));
    if (seen[at]) return Bad(absl::StrCat("dimension ", dim, " comes twice"), "each once");
    seen[at] = true;
    out.dims.push_back(x.dims[at]);
  }
  if (out.rank() != x.rank()) {
    return Bad(absl::StrCat("got ", out.rank(), " dimensions for ", ToString(x)),
               absl::StrCat("all ", x.rank()));
  }
  return OneType(out);
}

InferredTypes InferNarrow(const OpCall& call) {
  const op::Narrow narrow(call.node);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(narrow.dim(), call.in(0).rank()));
  TensorType out = call.in(0);
  const Extent& extent = out.dims[dim];
  const int64_t start = narrow.start(), length = narrow.length();
  if (start < 0 || length < 1 || extent.symbolic() || start > extent.size - length) {
    return Bad(absl::StrCat("got start ", start, " and length ", length, " of dimension ", dim,
                            " of ", ToString(call.in(0))),
               "a part of a dimension that is a number");
  }
  out.dims[dim] = {length, "", 1};
  return OneType(out);
}

InferredTypes InferCat(const OpCall& call) {
  TensorType out = call.in(0);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(op::AlongDim(call.node).dim(), out.rank()));
  for (int i = 1; i < call.num_inputs(); ++i) {
    TensorType other = call.in(i);
    const bool ranked =
        other.rank() == out.rank() && !out.dims[dim].symbolic() && !other.dims[dim].symbolic();
    const int64_t size = ranked ? other.dims[dim].size : 0;
    if (ranked) other.dims[dim] = out.dims[dim];
    if (!ranked || other != out) {
      return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(i))),
                 absl::StrCat("equal but for dimension ", dim, ", which must be a number"));
    }
    if (__builtin_add_overflow(out.dims[dim].size, size, &out.dims[dim].size))
      return Bad("the sum of its sizes is too large", "a size below 2^48");
  }
  return OneType(out);
}

InferredTypes InferRepeat(const OpCall& call) {
  TensorType out = call.in(0);
  const op::Repeat repeat(call.node);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(repeat.dim(), out.rank()));
  const int64_t times = repeat.times();
  if (times < 1 || times > kMaxTimes)
    return Bad(absl::StrCat("got ", times, " times"), absl::StrCat("1 to ", kMaxTimes));
  Extent& extent = out.dims[dim];
  const int64_t common = std::gcd(times, extent.divisor);
  extent.divisor /= common;
  if (__builtin_mul_overflow(extent.size, times / common, &extent.size)) {
    return Bad(absl::StrCat("got ", ToString(call.in(0)), " repeated ", times, " times"),
               "a size below 2^48");
  }
  return OneType(out);
}

InferredTypes InferWhere(const OpCall& call) {
  if (call.in(0).dtype != proto::BOOL || call.in(1).dtype != call.in(2).dtype) {
    return Bad(absl::StrCat("got ", ToString(call.in(0)), ", ", ToString(call.in(1)), ", ",
                            ToString(call.in(2))),
               "a BOOL condition and two of one type");
  }
  TensorType out{call.in(1).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(call.in(1).dims, call.in(2).dims));
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(out.dims, call.in(0).dims));
  return OneType(out);
}

InferredTypes InferGatherRows(const OpCall& call) {
  const TensorType &x = call.in(0), &indices = call.in(1);
  if (x.rank() < 1 || !IsInt(indices)) {
    return Bad(absl::StrCat("got ", ToString(x), " at ", ToString(indices)),
               "at least one dimension, and integer indices");
  }
  TensorType out{x.dtype, indices.dims};
  out.dims.insert(out.dims.end(), x.dims.begin() + 1, x.dims.end());
  return OneType(out);
}

InferredTypes InferPutRows(const OpCall& call) {
  const TensorType &x = call.in(0), &indices = call.in(1), &rows = call.in(2);
  TensorType expected = x;
  if (x.rank() >= 1 && indices.rank() == 1) expected.dims[0] = indices.dims[0];
  if (x.rank() < 1 || indices.rank() != 1 || !IsInt(indices) || rows != expected) {
    return Bad(
        absl::StrCat("got rows ", ToString(rows), " at ", ToString(indices), " for ", ToString(x)),
        "integer indices [R] and rows as x's, R of them");
  }
  return OneType(x);
}

namespace {

// Integer indices with as many dimensions as x; `dim` counted from the front.
absl::StatusOr<int> IndexedDim(const OpCall& call) {
  const TensorType &x = call.in(0), &indices = call.in(1);
  if (!IsInt(indices) || indices.rank() != x.rank()) {
    return Bad(absl::StrCat("got ", ToString(x), " at ", ToString(indices)),
               "integer indices with as many dimensions");
  }
  return NormalizeDim(op::AlongDim(call.node).dim(), x.rank());
}

}  // namespace

// The dimensions beside `dim` broadcast.
InferredTypes InferTake(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const int dim, IndexedDim(call));
  std::vector<Extent> from = call.in(0).dims;
  from[dim] = call.in(1).dims[dim];
  TensorType out{call.in(0).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(from, call.in(1).dims));
  return OneType(out);
}

InferredTypes InferScatter(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const int dim, IndexedDim(call));
  const TensorType &x = call.in(0), &indices = call.in(1), &source = call.in(2);
  TensorType expected = x;
  expected.dims[dim] = indices.dims[dim];
  if (indices.dims == expected.dims && source == expected) return OneType(x);
  return Bad(
      absl::StrCat("got ", ToString(source), " at ", ToString(indices), " for ", ToString(x)),
      absl::StrCat("indices and values of one shape, x's but for dimension ", dim));
}

InferredTypes InferExpand(const OpCall& call) {
  const TensorType &x = call.in(0), &like = call.in(1);
  const absl::StatusOr<std::vector<Extent>> dims = Broadcast(x.dims, like.dims);
  if (!dims.ok() || *dims != like.dims) {
    return Bad(absl::StrCat("got ", ToString(x), " to be as ", ToString(like)),
               "dimensions that are equal, 1 or absent");
  }
  return OneType({x.dtype, like.dims});
}

InferredTypes InferConstant(const OpCall& call) {
  if (call.node.types_size() != 1) return Bad("has no type", "one");
  KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(call.node.types(0)));
  int64_t bytes =
      type.dtype == proto::MODEL ? 0 : (static_cast<int64_t>(type.dtype) >> 8 & 0xff) / 8;
  for (const Extent& extent : type.dims) {
    if (extent.symbolic() || __builtin_mul_overflow(bytes, extent.size, &bytes))
      return Bad(absl::StrCat("a constant is ", ToString(type)), "sizes that are numbers");
  }
  if (bytes == 0 || bytes != static_cast<int64_t>(call.node.data().size())) {
    return Bad(absl::StrCat(ToString(type), " with ", call.node.data().size(), " bytes of data"),
               "a plain type and its bytes");
  }
  return OneType(type);
}

InferredTypes InferMark(const OpCall& call) {
  const int64_t kind = op::Mark(call.node).kind();
  if (kind != KEEL_MARK_LAYER_BEGIN && kind != KEEL_MARK_LAYER_END)
    return Bad(absl::StrCat("mark is ", kind), "KEEL_MARK_LAYER_BEGIN or KEEL_MARK_LAYER_END");
  return std::vector<TensorType>();
}

}  // namespace keel
