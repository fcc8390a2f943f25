// base_model_pp_plan, held against what was recorded.
#ifndef KEEL_CORE_GRAPH_PP_PLAN_H_
#define KEEL_CORE_GRAPH_PP_PLAN_H_

#include "absl/status/status.h"
#include "core/graph/graph.pb.h"

namespace keel {

// OK where the model states none. Else, with the child or the border that is wrong:
//   children  are modules of the model, one of them its numbered layers, and run in the plan's order:
//             what is before the first layer's mark, the layers, what is behind the last
//   names     a child takes what the one before gives, or what the host has (attention_mask ...);
//             inputs_embeds go on as hidden_states, as in transformers
//   values    at each border of a layer as many are alive as the layers are said to give (stages.h
//             says what counts)
// `graph` must have been verified.
absl::Status CheckPpPlan(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_PP_PLAN_H_
