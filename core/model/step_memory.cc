#include "core/model/step_memory.h"

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/graph/activations.h"

namespace keel {
namespace {

constexpr int64_t kBytesAnElement = 4;

}  // namespace

absl::StatusOr<int64_t> StepBytes(const proto::Graph& graph, int64_t tokens) {
  for (const proto::Function& function : graph.functions()) {
    if (function.name() != "forward") continue;
    KEEL_ASSIGN_OR_RETURN(const HeldElements held, MostHeld(graph, function));
    return kBytesAnElement * (held.a_row * tokens + held.besides);
  }
  return 0;
}

absl::Status CheckStepMemory(int64_t step_bytes, int64_t tokens, int64_t available) {
  if (step_bytes <= available) return absl::OkStatus();
  return WithFlag(
      absl::ResourceExhaustedError(absl::StrCat(
          "--max-num-batched-tokens: a step of ", tokens, " tokens takes up to ", step_bytes,
          " bytes of this model, ", available, " are free; lower it, or the memory of the cache")),
      "max-num-batched-tokens");
}

}  // namespace keel
