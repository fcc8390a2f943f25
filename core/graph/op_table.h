// One row an op: its name, operands and attributes, how types follow from types, and where an axis
// of its operands goes. Recorder, verifier, sharding, the proof that rows don't mix and docs/ops.md
// read it; what an op computes is in core/ops, what it means in sdk/abi/plugin.h.
#ifndef KEEL_CORE_GRAPH_OP_TABLE_H_
#define KEEL_CORE_GRAPH_OP_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/graph/axis.h"
#include "core/graph/graph.pb.h"
#include "core/graph/infer.h"

namespace keel {

struct OpRow {
  proto::Op op;
  const char* name;                // of its entry in keel_ops
  size_t entry;                    // where that is: offsetof(keel_ops, name)
  int min_operands, max_operands;  // -1: any number
  // Attributes in order, by the accessors of op_attributes.h: whole numbers, then others. "dims ...":
  // any number. Named arguments of attention and recur come besides.
  std::vector<const char*> ints, reals;
  InferredTypes (*infer)(const OpCall&);
  AxisOrError (*axis)(const AxisCall&);
  const char* rows;    // for docs/ops.md: what it does not do across the rows of a batch
  uint32_t opset = 1;  // of graph files, the first that has it
};

// In order of proto::Op.
const std::vector<OpRow>& OpTable();
// Null: an op that this host does not know.
const OpRow* FindOp(proto::Op op);

// The types of `node`'s outputs. It needs op, object and attributes; `inputs` are the types of its
// inputs, in order; a missing operand (value 0) has a null entry. An error says what the op got and
// what it expected, without naming the node.
InferredTypes InferTypes(const proto::Graph& graph, const proto::Node& node,
                         absl::Span<const TensorType* const> inputs);

// The first opset that has every op of `graph`, and every field and number that it uses.
uint32_t OpsetOf(const proto::Graph& graph);

// "linear model.layers.0.self_attn.q_proj", for messages.
std::string NodeName(const proto::Graph& graph, const proto::Node& node);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_OP_TABLE_H_
