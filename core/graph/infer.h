// The types of a node's outputs from its operands: what each op takes and gives, one rule an op or
// kind of ops. op_table.h says which rule is whose and calls them.
#ifndef KEEL_CORE_GRAPH_INFER_H_
#define KEEL_CORE_GRAPH_INFER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"

namespace keel {

// Everything an inference rule sees. The number of operands and of attributes is the row's, so that
// accessors of op_attributes.h hold; only operands that may be absent have a null entry.
struct OpCall {
  const proto::Graph& graph;
  const proto::Node& node;
  absl::Span<const TensorType* const> inputs;

  const TensorType& in(int i) const { return *inputs[i]; }
  int num_inputs() const { return static_cast<int>(inputs.size()); }
};

using InferredTypes = absl::StatusOr<std::vector<TensorType>>;

std::vector<TensorType> OneType(TensorType type);
bool IsFloat(const TensorType& type);
bool IsInt(const TensorType& type);
absl::Status ExpectFloat(const TensorType& x);
// The declaration of the node's object.
absl::StatusOr<const proto::Declaration*> ObjectOf(const OpCall& call,
                                                   proto::Declaration::KindCase kind);

// infer_objects.cc
InferredTypes InferLinear(const OpCall& call);
InferredTypes InferEmbed(const OpCall& call);
InferredTypes InferNorm(const OpCall& call);
InferredTypes InferRope(const OpCall& call);
InferredTypes InferAttention(const OpCall& call);
InferredTypes InferMoe(const OpCall& call);
InferredTypes InferConv(const OpCall& call);
InferredTypes InferParam(const OpCall& call);
InferredTypes InferKernelCall(const OpCall& call);

// infer_recur.cc
InferredTypes InferRecur(const OpCall& call);

// infer_arithmetic.cc
InferredTypes InferBinary(const OpCall& call);
InferredTypes InferAffine(const OpCall& call);  // affine, clamp
InferredTypes InferUnary(const OpCall& call);
InferredTypes InferOfKind(const OpCall& call);  // compare, logical, binary
InferredTypes InferActMul(const OpCall& call);
InferredTypes InferMatmul(const OpCall& call);
InferredTypes InferAlongDim(const OpCall& call);  // softmax, cumsum
InferredTypes InferReduce(const OpCall& call);
InferredTypes InferTopk(const OpCall& call);
InferredTypes InferCast(const OpCall& call);

// infer_shape.cc
InferredTypes InferView(const OpCall& call);
InferredTypes InferPermute(const OpCall& call);
InferredTypes InferNarrow(const OpCall& call);
InferredTypes InferCat(const OpCall& call);
InferredTypes InferRepeat(const OpCall& call);
InferredTypes InferWhere(const OpCall& call);
InferredTypes InferGatherRows(const OpCall& call);
InferredTypes InferPutRows(const OpCall& call);
InferredTypes InferTake(const OpCall& call);
InferredTypes InferScatter(const OpCall& call);
InferredTypes InferExpand(const OpCall& call);
InferredTypes InferConstant(const OpCall& call);
InferredTypes InferMark(const OpCall& call);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_INFER_H_
