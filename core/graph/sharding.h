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

namespace keel {

// How a rank's part of an object's weight [out, in] is cut from the checkpoint's.
struct WeightSplit {
  enum Kind {
    kWhole,
    kRows,     // colwise in transformers' words: a slice of `out`, of the bias too; of a
               // parameter's first dimension, of an embedding's rows
    kColumns,  // rowwise: a slice of `in`; the bias belongs to rank 0 alone, the others take zeros
    kExperts,  // of each expert: rows of gate and up, columns of down
    kExpertsApart,  // whole experts: a run of them
    kNone,          // nothing: it is another stage's
  };

  Kind kind = kWhole;
  int parts = 1;  // of which rank r of n has number r * parts / n
  int packs = 1;  // equal runs of the dimension, of each of which the rank has that part

  // The part of a rank.
  int part_of(int rank, int ranks) const { return rank * parts / ranks; }
  friend bool operator==(const WeightSplit&, const WeightSplit&) = default;
};

struct RankGraph {
  // What every rank runs: sizes are a rank's own; sums, gathers and cuts by rank are nodes (OP_ALL_REDUCE,
  // OP_ALL_GATHER, OP_RANK_PART). Value numbers differ from the global graph's.
  proto::Graph graph;
  std::vector<WeightSplit> weights;  // of object i + 1
};

struct ShardOptions {
  int ranks = 1;
  bool experts_apart =
      false;  // base_model_ep_plan: whole experts to each rank; nothing on one rank
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
