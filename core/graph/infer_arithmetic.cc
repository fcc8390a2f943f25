#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/infer.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {

InferredTypes InferBinary(const OpCall& call) {
  if (call.in(0).dtype != call.in(1).dtype) {
    return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", ToString(call.in(1))),
               "equal types", "cast one");
  }
  TensorType out{call.in(0).dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(call.in(0).dims, call.in(1).dims));
  return OneType(out);
}

// Compare gives BOOL, logical takes BOOL, binary takes numbers.
InferredTypes InferOfKind(const OpCall& call) {
  const int64_t kind = op::OfKind(call.node).kind();
  const proto::Op op = call.node.op();
  const int64_t last = op == proto::OP_COMPARE   ? KEEL_COMPARE_GE
                       : op == proto::OP_LOGICAL ? KEEL_LOGICAL_XOR
                                                 : KEEL_BINARY_MAX;
  if (kind < 0 || kind > last)
    return Bad(absl::StrCat("kind is ", kind), absl::StrCat("0 to ", last));
  const bool wants_bool = op == proto::OP_LOGICAL;
  const bool is_bool = call.in(0).dtype == proto::BOOL;
  if (op != proto::OP_COMPARE && is_bool != wants_bool)
    return Bad(absl::StrCat("got ", ToString(call.in(0))), wants_bool ? "BOOL" : "numbers");
  InferredTypes out = InferBinary(call);
  if (out.ok() && op == proto::OP_COMPARE) out->front().dtype = proto::BOOL;
  return out;
}

// Whole numbers are multiplied, added and bounded by whole numbers; an infinite bound is none.
InferredTypes InferAffine(const OpCall& call) {
  if (!IsInt(call.in(0))) {
    KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
    return OneType(call.in(0));
  }
  constexpr double kExact = 9007199254740992;  // 2^53
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const bool clamp = call.node.op() == proto::OP_CLAMP;
  for (int i = 0; i < call.node.reals_size(); ++i) {
    const double value = call.node.reals(i);
    if (clamp && value == (i == 0 ? -kNone : kNone)) continue;
    if (std::trunc(value) == value && std::abs(value) <= kExact) continue;
    return Bad(absl::StrCat("got ", ToString(call.in(0)), " and ", value), "a whole number",
               "or cast the operand to floating point");
  }
  return OneType(call.in(0));
}

InferredTypes InferActMul(const OpCall& call) {
  const int64_t act = op::ActMul(call.node).act();
  if (act < KEEL_ACT_SILU || act > KEEL_ACT_QUICK_GELU) {
    return Bad(absl::StrCat("activation is ", act),
               absl::StrCat("KEEL_ACT_*, ", KEEL_ACT_SILU, " to ", KEEL_ACT_QUICK_GELU));
  }
  if (call.in(0) != call.in(1)) {
    return Bad(absl::StrCat("gate is ", ToString(call.in(0)), ", up is ", ToString(call.in(1))),
               "the same type and shape");
  }
  return OneType(call.in(0));
}

InferredTypes InferUnary(const OpCall& call) {
  const int64_t kind = op::Unary(call.node).kind();
  const bool known =
      (kind >= KEEL_UNARY_NEG && kind <= KEEL_UNARY_NOT) ||
      (kind >= KEEL_UNARY_ACT + KEEL_ACT_SILU && kind <= KEEL_UNARY_ACT + KEEL_ACT_QUICK_GELU);
  if (!known) {
    return Bad(absl::StrCat("function is ", kind),
               absl::StrCat("KEEL_UNARY_*, ", KEEL_UNARY_NEG, " to ", KEEL_UNARY_NOT,
                            ", or KEEL_UNARY_ACT + KEEL_ACT_*"));
  }
  if (kind == KEEL_UNARY_NOT) {
    if (call.in(0).dtype != proto::BOOL)
      return Bad(absl::StrCat("got ", ToString(call.in(0))), "BOOL", "compare it with a number");
  } else if (kind != KEEL_UNARY_NEG && kind != KEEL_UNARY_ABS) {
    KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  }
  return OneType(call.in(0));
}

InferredTypes InferMatmul(const OpCall& call) {
  const TensorType &a = call.in(0), &b = call.in(1);
  if (a.rank() < 2 || b.rank() < 2 || a.dtype != b.dtype || a.dims.back() != b.dims[b.rank() - 2]) {
    return Bad(absl::StrCat("got ", ToString(a), " and ", ToString(b)),
               "[.., M, K] and [.., K, N] of one type");
  }
  TensorType out{a.dtype, {}};
  KEEL_ASSIGN_OR_RETURN(out.dims, Broadcast(absl::MakeSpan(a.dims).first(a.rank() - 2),
                                            absl::MakeSpan(b.dims).first(b.rank() - 2)));
  out.dims.push_back(a.dims[a.rank() - 2]);
  out.dims.push_back(b.dims.back());
  return OneType(out);
}

InferredTypes InferAlongDim(const OpCall& call) {
  KEEL_RETURN_IF_ERROR(NormalizeDim(op::AlongDim(call.node).dim(), call.in(0).rank()).status());
  if (call.node.op() == proto::OP_SOFTMAX) KEEL_RETURN_IF_ERROR(ExpectFloat(call.in(0)));
  return OneType(call.in(0));
}

InferredTypes InferReduce(const OpCall& call) {
  const op::Reduce reduce(call.node);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(reduce.dim(), call.in(0).rank()));
  if (reduce.kind() < KEEL_REDUCE_SUM || reduce.kind() > KEEL_REDUCE_MAX) {
    return Bad(absl::StrCat("reduction is ", reduce.kind()),
               absl::StrCat("KEEL_REDUCE_*, ", KEEL_REDUCE_SUM, " to ", KEEL_REDUCE_MAX));
  }
  TensorType out = call.in(0);
  if (reduce.keep_dim()) {
    out.dims[dim] = Extent{};
  } else {
    out.dims.erase(out.dims.begin() + dim);
  }
  return OneType(out);
}

InferredTypes InferTopk(const OpCall& call) {
  const TensorType& x = call.in(0);
  const int64_t k = op::TopK(call.node).k();
  if (x.rank() < 1 || k < 1 || x.dims.back().symbolic() || k > x.dims.back().size) {
    return Bad(absl::StrCat("got k ", k, " of ", ToString(x)),
               "a last dimension that is a number, and a k of 1 up to it");
  }
  TensorType values = x, indices{proto::I64, x.dims};
  values.dims.back() = indices.dims.back() = {k, "", 1};
  return std::vector<TensorType>{values, indices};
}

InferredTypes InferCast(const OpCall& call) {
  const int64_t dtype = op::Cast(call.node).dtype();
  if (static_cast<int>(dtype) != dtype || !proto::DataType_IsValid(static_cast<int>(dtype)))
    return Bad(absl::StrCat("data type is ", dtype), "KEEL_DTYPE_MODEL or a type of plugin.h");
  return OneType({static_cast<proto::DataType>(dtype), call.in(0).dims});
}

}  // namespace keel
