// Tensor parallelism: from the global graph and its base_model_tp_plan to the graph that one rank runs.
//
// The plan says only how weights are split. Whether that is sound follows from the graph: each value is replicated or
// split along one dimension (split.h), each op takes certain splits and gives one (propagation as in GSPMD,
// arXiv:2105.04663). A plan that asks an op for a split that its operands don't have is refused with the node and the
// rule, instead of giving wrong text. docs/ops.md says what each op takes.
#ifndef KEEL_CORE_GRAPH_SHARDING_H_
#define KEEL_CORE_GRAPH_SHARDING_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"
#include "core/graph/rank_graph.h"

namespace keel {

struct ShardOptions {
  int ranks = 1;
  // By base_model_ep_plan: whole experts to each rank. On one rank it means nothing.
  bool experts_apart = false;
};

// `graph` must have been verified, or be a stage of one that was (stages.h). With one rank it comes back as it is, its
// plans checked. The vocabulary (embed_tokens, lm_head) stays whole where ranks don't divide it. Errors:
// those of TpStylesOf; kFailedPrecondition, sizes that ranks do not divide, where another number may do;
// kInvalidArgument, an unsound plan.
absl::StatusOr<RankGraph> ShardGraph(const proto::Graph& graph, const ShardOptions& options);

// Whether some node uses object i + 1. What a rank keeps (weights, keys and values, states) is that of these.
std::vector<bool> UsedObjects(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_SHARDING_H_
