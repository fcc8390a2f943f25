// The clauses about the checkpoint's tensors and the model's declarations, side by side.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/weights/weights.h"

namespace keel::clauses {

Finding Renames(Inspection& x) {
  absl::StatusOr<TensorComparison> compared = CompareTensors(x.graph, x.checkpoint, x.dtype);
  if (!compared.ok())
    return Fail(compared.status(), Mend(x, "mend the rules that the plugin's config states"));
  x.tensors = *std::move(compared);
  return Pass(Count(x.graph.spec().renames_size(), "rule"));
}

Finding Missing(Inspection& x) {
  const auto& missing = x.tensors.missing;
  if (missing.empty()) return Pass("none");
  return Fail(
      absl::StrCat(Count(static_cast<int64_t>(missing.size()), "tensor"),
                   " that the model declares"),
      Mend(x,
           "download the checkpoint again, or add renames to the plugin if they have other names "
           "there"),
      FirstLines(missing));
}

Finding Leftover(Inspection& x) {
  const auto& leftover = x.tensors.leftover;
  const auto& unused = x.tensors.unused;
  if (!leftover.empty()) {
    return Fail(
        absl::StrCat(Count(static_cast<int64_t>(leftover.size()), "tensor"),
                     " of declared modules that the model does not take: its answers would "
                     "be wrong"),
        Mend(x,
             "declare them in the plugin (a linear's bias is a flag), or ignore them by a rename "
             "rule"),
        FirstLines(leftover));
  }
  if (unused.empty()) return Pass("none");
  return Warn(absl::StrCat(Count(static_cast<int64_t>(unused.size()), "tensor"),
                           " of parts that the model does not have"),
              "nothing, if those parts are not wanted; a rename rule can ignore them",
              FirstLines(unused));
}

Finding Shapes(Inspection& x) {
  if (x.tensors.unfit.empty()) return Pass("all");
  std::vector<std::string> lines;
  for (const absl::Status& status : x.tensors.unfit) lines.emplace_back(status.message());
  return Fail(absl::StrCat(Count(static_cast<int64_t>(lines.size()), "tensor"),
                           " of another shape or type"),
              "see whether config.json belongs to these weights", FirstLines(lines));
}

Finding Ties(Inspection& x) {
  const auto& ties = x.tensors.ties;
  if (ties.empty()) return Pass("none");
  return Pass(Count(static_cast<int64_t>(ties.size()), "tie"), ties);
}

}  // namespace keel::clauses
