// base_model_tp_plan, transformers' words for how weights are split, read for the objects of a graph.
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
  kColwise,  // of a parameter: its first dimension (heads)
  kColwiseGather,
  kRowwise,
  kExperts,  // every expert's intermediate size; the sum over ranks comes after the experts
};

// The style of object i + 1. A mixture of experts is split if the plan says moe_tp_experts of it, or splits each of its
// matrices: "experts.gate_up_proj" (packed_colwise, or colwise) and "experts.down_proj" (rowwise), as transformers 5
// has them, or "experts.*.gate_proj" ... (colwise, rowwise) as 4 did.
// Errors: an unknown style, a pattern that matches nothing, experts that are split in part.
absl::StatusOr<std::vector<TpStyle>> TpStylesOf(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_TP_PLAN_H_
