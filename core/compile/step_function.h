// The function of a whole step of one rank: token ids to embeddings, forward, the rows whose logits are wanted, and the
// head.
#ifndef KEEL_CORE_COMPILE_STEP_FUNCTION_H_
#define KEEL_CORE_COMPILE_STEP_FUNCTION_H_

#include "absl/status/statusor.h"
#include "core/compile/ir.h"
#include "core/graph/graph.pb.h"
#include "core/ops/ops.h"

namespace keel::ir {

// Names of inputs that are a step's own. Others are those of forward: "positions", "token_type_ids" (i64 [N]) and what
// the stage before hands on.
inline constexpr char kTokenIds[] = "input_ids";    // i64 [N]
inline constexpr char kLogitRows[] = "logit_rows";  // i64 [R]

struct StepFunctionOptions {
  // Ends in hidden states [N, hidden] or what the next stage takes, and not in f32 logits [R, vocab].
  bool ends_in_forward = false;
  // The input "embeds", [N, hidden], stands in the place of token ids: features are among them.
  bool takes_embeds = false;
};

// Of `ops.graph()`, whose functions embed, forward, logits or head are there as core/exec/rank.h says.
absl::StatusOr<Function> MakeStepFunction(OpRunner& ops, const StepFunctionOptions& options);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_STEP_FUNCTION_H_
