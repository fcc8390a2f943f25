// The graph that one rank of tensor parallelism runs, and what it holds of the weights.
#ifndef KEEL_CORE_GRAPH_RANK_GRAPH_H_
#define KEEL_CORE_GRAPH_RANK_GRAPH_H_

#include <vector>

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

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_RANK_GRAPH_H_
