// base_model_tp_plan and base_model_ep_plan, transformers' words for how weights are split, read for
// the objects of a graph.
#ifndef KEEL_CORE_GRAPH_TP_PLAN_H_
#define KEEL_CORE_GRAPH_TP_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"

namespace keel {

// "model.layers.3.mlp.up_proj" -> "layers.*.mlp.up_proj": transformers' rule for looking a name up in a plan. `prefix`
// is the base model's, "model".
std::string PlanKey(absl::string_view name, absl::string_view prefix);

enum class TpStyle {
  kReplicate,
  kColwise,            // of a parameter: its first dimension (heads)
  kColwiseGather,      // and the output is gathered
  kPackedColwise,      // each half of the output by itself: gate and up in one matrix
  kRowwise,            // of an input that is split
  kPackedRowwise,      // of an input whose halves are each split
  kRowwiseSplitInput,  // of a whole input, of which each rank takes its part
  kEmbeddingRows,      // the vocabulary
  kEmbeddingColumns,   // the size of an embedding
  kExperts,            // every expert's intermediate size
  kExpertsApart,       // each rank has experts of its own
};

// What the plans say of one object.
struct PlannedStyle {
  TpStyle style = TpStyle::kReplicate;
  // "base_model_tp_plan, 'layers.*.mlp.up_proj': colwise"; of an object that no rule is about:
  // "base_model_tp_plan, no rule for model.layers.0.mlp.up_proj".
  std::string rule;
};

// What holds for object i + 1. The styles are those of transformers 5, and the names of 4 that plugins still say
// (colwise_rep, rowwise_rep, local_*, local, gather, ep_router). What a style says about where a sum comes is not
// needed: the graph shows it. A mixture of experts is split if the plan says moe_tp_experts of it, or splits each of
// its matrices: "experts.gate_up_proj" (packed_colwise) and "experts.down_proj" (rowwise), or the same of transposed
// ones (packed_rowwise and colwise), or "experts.*.gate_proj" ... (colwise, rowwise).
//
// `experts_apart`: base_model_ep_plan holds, whose rules replace those of the other plan for a module and what is
// below it; an error where it divides no experts. Both plans are checked in any case.
//
// Errors: an unknown style or one that Keel refuses, with the reason; a pattern that matches nothing; a style that an
// object can't have; experts that are split in part.
absl::StatusOr<std::vector<PlannedStyle>> TpStylesOf(const proto::Graph& graph, bool experts_apart);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_TP_PLAN_H_
