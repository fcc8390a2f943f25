#include "core/graph/axis.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/op_attributes.h"

namespace keel {
namespace {

absl::Status Mixes(absl::string_view what) { return absl::InvalidArgumentError(what); }

std::string Where(const AxisCall& call, int i) {
  if (call.axis(i) == kNoAxis) return absl::StrCat("operand ", i, " whole");
  return absl::StrCat("operand ", i, " by dimension ", call.axis(i));
}

absl::Status TakesApart(const AxisCall& call, int a, int b) {
  return Mixes(absl::StrCat("takes ", Where(call, a), " and ", Where(call, b)));
}

// The dimension of `out_rank` dimensions that operand i's axis is aligned with.
int Aligned(const AxisCall& call, int i, int out_rank) {
  return call.axis(i) == kNoAxis ? kNoAxis : call.axis(i) + out_rank - call.in(i).rank();
}

// Operands that are broadcast to `rank` dimensions, of which the last `beside` are not looked at. A
// dimension that is absent or of size 1 goes with any axis of another operand's.
AxisOrError Broadcasted(const AxisCall& call, int rank) {
  int axis = kNoAxis, from = 0;
  for (int i = 0; i < call.num_inputs(); ++i) {
    const int aligned = Aligned(call, i, rank);
    if (aligned == kNoAxis) continue;
    if (axis != kNoAxis && aligned != axis) return TakesApart(call, from, i);
    axis = aligned, from = i;
  }
  for (int i = 0; i < call.num_inputs() && axis != kNoAxis; ++i) {
    const int at = axis - (rank - call.in(i).rank());
    if (call.axis(i) == kNoAxis && at >= 0 && !call.in(i).dims[at].is(1))
      return TakesApart(call, from, i);
  }
  return axis;
}

}  // namespace

AxisOrError AxisOfNone(const AxisCall& call) {
  for (int i = 0; i < call.num_inputs(); ++i) {
    if (call.axis(i) != kNoAxis) return Mixes(absl::StrCat("needs operand ", i, " whole"));
  }
  return kNoAxis;
}

AxisOrError AxisOfElements(const AxisCall& call) {
  int rank = 0;
  for (const TensorType* x : call.inputs) rank = std::max(rank, x->rank());
  return Broadcasted(call, rank);
}

AxisOrError AxisBesideLast(const AxisCall& call) {
  if (call.axis(0) != kNoAxis && call.axis(0) == call.in(0).rank() - 1)
    return Mixes("works along its operand's last dimension");
  return call.axis(0);
}

AxisOrError AxisBesideDim(const AxisCall& call) {
  if (call.axis(0) == kNoAxis) return kNoAxis;
  KEEL_ASSIGN_OR_RETURN(const int dim,
                        NormalizeDim(op::AlongDim(call.node).dim(), call.in(0).rank()));
  if (dim != call.axis(0)) return call.axis(0);
  return Mixes(absl::StrCat("works along dimension ", dim, " of its operand"));
}

AxisOrError AxisOfReduce(const AxisCall& call) {
  KEEL_ASSIGN_OR_RETURN(const int axis, AxisBesideDim(call));
  if (axis == kNoAxis) return kNoAxis;
  const op::Reduce reduce(call.node);
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(reduce.dim(), call.in(0).rank()));
  return axis - (!reduce.keep_dim() && dim < axis ? 1 : 0);
}

AxisOrError AxisOfCat(const AxisCall& call) {
  for (int i = 1; i < call.num_inputs(); ++i) {
    if (call.axis(i) != call.axis(0)) return TakesApart(call, 0, i);
  }
  return AxisBesideDim(call);
}

// Each element in turn: blocks grow, parts stay apart.
AxisOrError AxisOfRepeat(const AxisCall& call) { return call.axis(0); }

// The axis goes to the dimension that starts at the same place and has whole parts of it:
// heads * D <-> heads, D.
AxisOrError AxisOfView(const AxisCall& call) {
  if (call.axis(0) == kNoAxis) return kNoAxis;
  const TensorType &from = call.in(0), &to = *call.output;
  const Extent& axis = from.dims[call.axis(0)];
  const absl::Span<const Extent> before = absl::MakeConstSpan(from.dims).first(call.axis(0));
  const auto starts_alike = [&](int t) {
    std::vector<int64_t> dims;
    for (int i = 0; i < t; ++i) {
      const Extent& dim = to.dims[i];
      const bool kept = i < call.axis(0) && dim == from.dims[i];
      if (dim.symbolic() && !kept) return false;
      dims.push_back(dim.symbolic() ? 0 : dim.size);
    }
    return ResolveView(before, dims).ok();
  };
  for (int t = 0; t < to.rank(); ++t) {
    const Extent& dim = to.dims[t];
    const bool whole_parts = dim.symbol == axis.symbol && dim.divisor == 1;
    if (whole_parts && !dim.is(1) && starts_alike(t)) return t;
  }
  return Mixes(absl::StrCat("can't keep dimension ", call.axis(0), " of ", ToString(from), " in ",
                            ToString(to)));
}

AxisOrError AxisOfPermute(const AxisCall& call) {
  const absl::Span<const int64_t> order = op::Permute(call.node).order();
  for (size_t i = 0; i < order.size() && call.axis(0) != kNoAxis; ++i) {
    KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(order[i], call.in(0).rank()));
    if (dim == call.axis(0)) return static_cast<int>(i);
  }
  return kNoAxis;
}

AxisOrError AxisOfMatmul(const AxisCall& call) {
  const int ranks[] = {call.in(0).rank(), call.in(1).rank()}, rank = std::max(ranks[0], ranks[1]);
  if (call.axis(0) == ranks[0] - 1 || (call.axis(1) != kNoAxis && call.axis(1) == ranks[1] - 2))
    return Mixes("sums over a dimension of its operands");
  // Rows of a, columns of b.
  const bool row = call.axis(0) == ranks[0] - 2, column = call.axis(1) == ranks[1] - 1;
  if (row && call.axis(1) == kNoAxis) return rank - 2;
  if (column && call.axis(0) == kNoAxis) return rank - 1;
  if (row || column) return TakesApart(call, 0, 1);
  return Broadcasted(call, rank);
}

AxisOrError AxisOfGatherRows(const AxisCall& call) {
  if (call.axis(0) == kNoAxis) return call.axis(1);
  if (call.axis(0) == 0) return Mixes("takes rows of its operand by their number");
  if (call.axis(1) != kNoAxis) return TakesApart(call, 0, 1);
  return call.axis(0) - 1 + call.in(1).rank();
}

AxisOrError AxisOfPutRows(const AxisCall& call) {
  if (call.axis(0) == 0) return Mixes("replaces rows of its operand by their number");
  if (call.axis(1) != kNoAxis) return TakesApart(call, 0, 1);
  if (call.axis(2) != call.axis(0)) return TakesApart(call, 0, 2);
  return call.axis(0);
}

AxisOrError AxisOfTake(const AxisCall& call) {
  const int rank = call.in(0).rank();
  KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(op::AlongDim(call.node).dim(), rank));
  if (call.axis(0) == dim) return Mixes("takes parts of its operand by their number");
  if (call.axis(0) == kNoAxis && call.axis(1) == dim) return dim;  // out of a table
  return Broadcasted(call, rank);
}

AxisOrError AxisOfScatter(const AxisCall& call) {
  KEEL_ASSIGN_OR_RETURN(const int dim,
                        NormalizeDim(op::AlongDim(call.node).dim(), call.in(0).rank()));
  for (int i = 0; i < call.num_inputs(); ++i) {
    if (call.axis(i) == dim) return Mixes("replaces parts of its operand by their number");
    if (call.axis(i) != call.axis(0)) return TakesApart(call, 0, i);
  }
  return call.axis(0);
}

AxisOrError AxisOfEmbed(const AxisCall& call) { return call.axis(0); }

AxisOrError AxisOfRope(const AxisCall& call) {
  const bool by_token = call.axis(0) == 0 && call.axis(1) == call.in(1).rank() - 1;
  const bool by_head = call.axis(0) == 1 && call.axis(1) == kNoAxis;
  if (by_token || by_head || (call.axis(0) == kNoAxis && call.axis(1) == kNoAxis))
    return call.axis(0);
  return Mixes(absl::StrCat("rotates ", Where(call, 0), " at positions ", Where(call, 1)));
}

AxisOrError AxisOfConv(const AxisCall& call) {
  const proto::Conv& conv =
      call.graph.declarations(static_cast<int>(call.node.object()) - 1).conv();
  const bool one_row = call.in(0).rank() == 2;
  const int space = one_row ? 0 : 2, i = call.axis(0) - space;
  if (call.axis(0) == kNoAxis || (!one_row && call.axis(0) == 0)) return call.axis(0);
  if (call.axis(0) == 1) return Mixes("sums over channels");
  if (conv.kernel(i) == 1 && conv.stride(i) == 1 && conv.padding(i) == 0) return call.axis(0);
  return Mixes(absl::StrCat("convolves dimension ", call.axis(0),
                            " of its operand with a kernel of ", conv.kernel(i),
                            " and a stride of ", conv.stride(i)));
}

AxisOrError AxisOfMoe(const AxisCall& call) {
  for (int i = 0; i < call.num_inputs(); ++i) {
    if (call.axis(i) != call.axis(0)) return TakesApart(call, 0, i);
  }
  if (call.axis(0) == 1) return Mixes("works along its operand's last dimension");
  return call.axis(0);
}

// Rows are the host's to tell apart there; what is given for all rows must hold nothing of one.
AxisOrError AxisOfSequences(const AxisCall& call) {
  for (int i = 0; i < call.num_inputs(); ++i) {
    if (call.axis(i) != kNoAxis && call.axis(i) != 0)
      return Mixes(absl::StrCat("takes ", Where(call, i)));
  }
  const int fixed = op::FixedOperands(call.node.op());
  for (int i = 1; i < fixed; ++i) {
    if (call.inputs[i] != nullptr && call.axis(i) != call.axis(0)) return TakesApart(call, 0, i);
  }
  return call.axis(0);
}

// Rows of one are rows of the other; with states they may cross, within a sequence.
AxisOrError AxisOfKernel(const AxisCall& call) {
  const proto::Kernel& kernel =
      call.graph.declarations(static_cast<int>(call.node.object()) - 1).kernel();
  const TensorType* rows = nullptr;
  for (int i = 0; i < call.num_inputs(); ++i) {
    if (call.axis(i) == kNoAxis) continue;
    if (!kernel.rowwise() && kernel.states().empty()) {
      return Mixes(absl::StrCat("runs kernel ", Shown(kernel.kernel()),
                                ", which promises no KEEL_KERNEL_ROWWISE and has no states"));
    }
    if (call.axis(i) != 0) return Mixes(absl::StrCat("takes ", Where(call, i)));
    if (rows != nullptr && call.in(i).dims[0] != rows->dims[0])
      return Mixes(absl::StrCat("takes ", ToString(*rows), " and ", ToString(call.in(i))));
    rows = &call.in(i);
  }
  if (rows == nullptr) return kNoAxis;
  for (const proto::Type& type : call.node.types()) {
    KEEL_ASSIGN_OR_RETURN(const TensorType out, FromProto(type));
    if (out.dims.empty() || out.dims[0] != rows->dims[0])
      return Mixes(absl::StrCat("gives ", ToString(out), " of ", ToString(*rows)));
  }
  return 0;
}

}  // namespace keel
