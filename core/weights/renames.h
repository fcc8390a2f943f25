// From the tensors of a checkpoint to those that a model declares: names are rewritten and tensors
// merged, split or rearranged by the rules that the model's spec states (its order, transformers'
// conversion mapping).
#ifndef KEEL_CORE_WEIGHTS_RENAMES_H_
#define KEEL_CORE_WEIGHTS_RENAMES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/config/model_spec.pb.h"

namespace keel {

// How one tensor under its declared name comes from the checkpoint.
struct TensorRecipe {
  proto::ModelSpec::Rename::Op op = proto::ModelSpec::Rename::RENAME;
  std::vector<std::string> sources;  // checkpoint names, in the order the op takes them
  int32_t dim = 0;
  std::vector<int64_t> sizes;
  int part = 0, parts = 1;  // of an op with several results, the one that is meant
};

// Recipes by declared name. A RENAME goes on to the rules after it; the first other rule that
// matches takes the tensor. Errors: a pattern that RE2 refuses, two sources for one name, a rule
// whose counts of `from` and `to` don't fit its op.
absl::StatusOr<std::map<std::string, TensorRecipe>> PlanTensors(
    absl::Span<const std::string> checkpoint_names,
    absl::Span<const proto::ModelSpec::Rename* const> rules);

// Runs a recipe; `read` gives a checkpoint tensor. A plain rename gives the tensor itself, without
// a copy.
absl::StatusOr<at::Tensor> MakeTensor(
    const TensorRecipe& recipe,
    const std::function<absl::StatusOr<at::Tensor>(const std::string& name)>& read);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_RENAMES_H_
