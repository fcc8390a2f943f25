// From the tensors of a checkpoint to those that a model declares: names are rewritten and tensors
// merged, split or rearranged by the rules that the model's spec states (its order, transformers'
// conversion mapping).
#ifndef KEEL_CORE_WEIGHTS_RENAMES_H_
#define KEEL_CORE_WEIGHTS_RENAMES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/config/model_spec.pb.h"

namespace keel {

// How one tensor under its declared name comes from the checkpoint: an op over tensors that come
// from it likewise, or a tensor of it.
struct TensorRecipe {
  proto::ModelSpec::Rename::Op op = proto::ModelSpec::Rename::RENAME;
  std::vector<std::shared_ptr<const TensorRecipe>> inputs;  // of the op; none: sources[0] itself
  std::vector<std::string> sources;  // checkpoint names of all it is made of, in order
  int32_t dim = 0;
  std::vector<int64_t> sizes;
  int part = 0, parts = 1;  // of an op with several results, the one that is meant
};

// The shape of a checkpoint tensor.
using ShapeOf = std::function<absl::StatusOr<std::vector<int64_t>>(const std::string& name)>;

// Recipes by declared name. Rules are passes: each takes the tensors whose names match from what the
// rules before it have left, and puts its results in their place. Errors: a pattern that RE2
// refuses, two tensors for one name, a rule whose counts of `from` and `to` don't fit its op, a part
// that is missing, slices that a shape has not.
absl::StatusOr<std::map<std::string, TensorRecipe>> PlanTensors(
    absl::Span<const std::string> checkpoint_names,
    absl::Span<const proto::ModelSpec::Rename* const> rules, const ShapeOf& shape_of);

// Runs a recipe; `read` gives a checkpoint tensor. Contiguous; without a copy where names, splits
// and slices leave it so.
absl::StatusOr<at::Tensor> MakeTensor(
    const TensorRecipe& recipe,
    const std::function<absl::StatusOr<at::Tensor>(const std::string& name)>& read);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_RENAMES_H_
