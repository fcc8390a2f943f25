// Pipeline parallelism: forward cut at the marks of its layers into stages that run one after the
// other, each with its own weights, keys and values and states.
#ifndef KEEL_CORE_GRAPH_STAGES_H_
#define KEEL_CORE_GRAPH_STAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/graph/graph.pb.h"

namespace keel {

// Where forward may be cut.
struct LayerBorder {
  int layer;  // that begins here; after the last one: their number
  int node;   // the first that runs behind the border
  // How many values are made before the border and used behind it, by number. Left out are those that
  // every stage makes for itself: inputs of the step but embeds, parameters, constants, and what is
  // computed of them alone without weights.
  size_t num_live;
  std::vector<uint32_t> live;  // the first kMaxLive of them
};

// More than any model hands from layer to layer.
inline constexpr size_t kMaxLive = 64;

// Of layer 0, 1 ... and behind the last; empty if forward marks no layers. `graph` must have been
// verified.
std::vector<LayerBorder> BordersOf(const proto::Graph& graph);

// "the output of add, MODEL[N, 64]": value `id` of forward, for messages.
std::string LiveValueText(const proto::Graph& graph, uint32_t id);

// The function `name`, or null.
const proto::Function* FindFunction(const proto::Graph& graph, absl::string_view name);
// Whether tokens in forward see those that follow: an attention of the kind ENCODER.
bool SeesAhead(const proto::Graph& graph);
// Takes the function away, if it is there.
void RemoveFunction(absl::string_view name, proto::Graph& graph);

// One graph a stage, with all declarations (UsedObjects says which are its own) and its part of
// forward, whose inputs named kCarried + "0", "1" ... are the outputs of the stage before. The
// function "embed" is the first stage's, the others are the last's. Layers are divided evenly; those
// that share keys and values stay on one stage. The plan must have been checked (pp_plan.h).
// INVALID_ARGUMENT: the model states none, or has fewer places to cut than that takes.
absl::StatusOr<std::vector<proto::Graph>> CutStages(const proto::Graph& graph, int stages);

inline constexpr char kCarried[] = "carried/";

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_STAGES_H_
