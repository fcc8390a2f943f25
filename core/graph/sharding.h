// Tensor parallelism: from the global graph and its base_model_tp_plan to the graph that one rank runs.
//
// The plan says only how weights are split. Whether that is sound follows from the graph: each value is replicated or
// split along one dimension, each op takes certain splits and gives one (propagation as in GSPMD, arXiv:2105.04663). A
// plan that asks an op for a split that its operands don't have is refused with the node, instead of giving wrong text.
#ifndef KEEL_CORE_GRAPH_SHARDING_H_
#define KEEL_CORE_GRAPH_SHARDING_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"

namespace keel {

// How a rank's part of an object's weight [out, in] is cut from the checkpoint's.
enum class WeightSplit {
  kWhole,
  kRows,     // colwise in transformers' words: a slice of `out`, of the bias too; of a parameter's
             // first dimension
  kColumns,  // rowwise: a slice of `in`; the bias belongs to rank 0 alone, the others take zeros
  kExperts,  // of each expert: rows of gate and up, columns of down
};

struct RankGraph {
  // What every rank runs: sizes are a rank's own, sums and gathers over ranks are nodes (OP_ALL_REDUCE,
  // OP_ALL_GATHER). Value numbers differ from the global graph's.
  proto::Graph graph;
  std::vector<WeightSplit> weights;  // of object i + 1
};

// `graph` must have been verified. ranks >= 1; with 1 the graph comes back as it is. Errors:
//   kFailedPrecondition  sizes that `ranks` does not divide: another number may do
//   kInvalidArgument     an unknown style, a pattern that matches nothing, an unsound plan
absl::StatusOr<RankGraph> ShardGraph(const proto::Graph& graph, int ranks);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_SHARDING_H_
