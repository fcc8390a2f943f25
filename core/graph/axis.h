// Where an axis of an op's operands goes. An axis is a dimension whose parts are worked on apart:
// a rank's share of it (sharding.h), or the rows of a batch (rows.h). Each value has it at one
// dimension or not at all; a rule says at which the outputs have it, or why the op would mix its
// parts. Propagation as in GSPMD (arXiv:2105.04663). op_table.h says which rule is whose.
#ifndef KEEL_CORE_GRAPH_AXIS_H_
#define KEEL_CORE_GRAPH_AXIS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"

namespace keel {

inline constexpr int kNoAxis = -1;

// A node that has been verified. inputs[i] is null for an absent operand, whose axis is kNoAxis.
//
// Along its dimension the axis lies in blocks: part n of the axis is the n-th of equal runs of
// elements. Rules keep that, so that a view may put a dimension behind the axis into it, and back.
struct AxisCall {
  const proto::Graph& graph;
  const proto::Node& node;
  absl::Span<const TensorType* const> inputs;  // whole, as in the global graph
  absl::Span<const int> axes;
  const TensorType* output;  // the first; null: none

  const TensorType& in(int i) const { return *inputs[i]; }
  int axis(int i) const { return axes[i]; }
  int num_inputs() const { return static_cast<int>(inputs.size()); }
};

// The dimension of every output that has the axis. An error says what the op does across it,
// without naming the node.
using AxisOrError = absl::StatusOr<int>;

AxisOrError AxisOfNone(const AxisCall& call);      // no operand may have it
AxisOrError AxisOfElements(const AxisCall& call);  // each element by itself, broadcast
AxisOrError AxisBesideLast(const AxisCall& call);  // works along the last dimension
AxisOrError AxisBesideDim(const AxisCall& call);   // softmax, cumsum, narrow, repeat: `dim`
AxisOrError AxisOfReduce(const AxisCall& call);
AxisOrError AxisOfCat(const AxisCall& call);
AxisOrError AxisOfRepeat(const AxisCall& call);
AxisOrError AxisOfView(const AxisCall& call);
AxisOrError AxisOfPermute(const AxisCall& call);
AxisOrError AxisOfMatmul(const AxisCall& call);
AxisOrError AxisOfGatherRows(const AxisCall& call);
AxisOrError AxisOfPutRows(const AxisCall& call);
AxisOrError AxisOfTake(const AxisCall& call);
AxisOrError AxisOfScatter(const AxisCall& call);
AxisOrError AxisOfEmbed(const AxisCall& call);
AxisOrError AxisOfRope(const AxisCall& call);
AxisOrError AxisOfConv(const AxisCall& call);
AxisOrError AxisOfMoe(const AxisCall& call);
AxisOrError AxisOfSequences(const AxisCall& call);  // attention, recur: they may cross rows
AxisOrError AxisOfKernel(const AxisCall& call);     // the plugin's own, at its word

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_AXIS_H_
