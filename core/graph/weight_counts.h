// How many weights a model multiplies by, from its graph alone: what the time of a step is held against.
#ifndef KEEL_CORE_GRAPH_WEIGHT_COUNTS_H_
#define KEEL_CORE_GRAPH_WEIGHT_COUNTS_H_

#include <cstdint>

#include "core/graph/graph.pb.h"

namespace keel {

// Of linears and experts; embeddings, which are looked up, norms and convolutions are not among them. A linear that
// forward applies twice counts twice, but for `stored`.
struct WeightCounts {
  int64_t token = 0;  // that forward multiplies one token by: of experts, the top_k that it chooses
  int64_t logits = 0;  // that one row of logits is multiplied by
  int64_t stored = 0;  // of all of them, all experts
  bool has_experts = false;
};

// Whether a function of a graph that runs turns hidden states into logits: the host's head, or the plugin's own.
bool GivesLogits(const proto::Function& function);

// `graph` as it runs: with its head (core/exec/rank.h).
WeightCounts CountWeights(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_WEIGHT_COUNTS_H_
