// The tensors of a checkpoint under the names that a model declares: renamed by the spec's rules,
// checked for their shape, cast, and counted, so that what is missing and what is left over is known.
#ifndef KEEL_CORE_WEIGHTS_TENSOR_SOURCE_H_
#define KEEL_CORE_WEIGHTS_TENSOR_SOURCE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/checkpoint/checkpoint.h"
#include "core/config/model_spec.pb.h"
#include "core/tensor/dtype.h"
#include "core/weights/renames.h"

namespace keel {

// "a, b, c, d, e and 7 more".
std::string FirstNames(absl::Span<const std::string> names);

class TensorSource {
 public:
  // Told the bytes read and those of the whole checkpoint.
  using OnBytes = std::function<void(int64_t done, int64_t total)>;

  // Whether tensors have their values, or shapes and types alone (of device meta): then Get keeps
  // what does not fit for unfit() and goes on.
  enum class Contents { kValues, kShapes };

  // `spec` and `checkpoint` are borrowed; `on_bytes` may be null.
  static absl::StatusOr<TensorSource> Create(const proto::ModelSpec& spec,
                                             const Checkpoint& checkpoint, OnBytes on_bytes,
                                             Contents contents = Contents::kValues);

  size_t size() const { return recipes_.size(); }
  bool Contains(const std::string& name) const { return FindRecipe(name) != recipes_.end(); }

  // The tensor, where it lies in the file if it has the wanted type. One that the checkpoint has not
  // is left undefined and counted (see CheckComplete). kInvalidArgument names both shapes.
  // `keep_type`: one of f32, bf16 or f16 is not cast.
  absl::Status Get(const std::string& name, const std::vector<int64_t>& shape, DType dtype,
                   at::Tensor* out, bool keep_type = false);

  // kNotFound names the first five tensors that Get did not find, and how many more.
  absl::Status CheckComplete() const;
  const std::vector<std::string>& missing() const { return missing_; }
  const std::vector<absl::Status>& unfit() const { return unfit_; }
  // What no Get has asked for. Rules that ignore names, and buffers that old files carry and nobody
  // needs, are left out. `modules` are the names of what the model declares, "model.norm".
  struct Leftovers {
    std::vector<std::string> of_modules;  // names in the checkpoint of tensors in these modules
    std::vector<std::string> others;
  };
  Leftovers FindLeftovers(const absl::flat_hash_set<std::string>& modules) const;

 private:
  TensorSource(const proto::ModelSpec& spec, const Checkpoint& checkpoint, OnBytes on_bytes,
               Contents contents)
      : spec_(&spec),
        checkpoint_(&checkpoint),
        on_bytes_(std::move(on_bytes)),
        contents_(contents) {}

  using Recipes = std::map<std::string, TensorRecipe>;

  Recipes::const_iterator FindRecipe(const std::string& name) const;
  absl::StatusOr<at::Tensor> Read(const std::string& name);
  absl::StatusOr<at::Tensor> Make(const TensorRecipe& recipe, const std::string& name,
                                  const std::vector<int64_t>& shape, DType dtype, bool keep_type);

  const proto::ModelSpec* spec_;
  const Checkpoint* checkpoint_;
  OnBytes on_bytes_;
  Contents contents_;
  Recipes recipes_;              // by declared name
  std::set<std::string> taken_;  // of recipes_
  std::set<std::string> read_;   // names in the checkpoint
  std::vector<std::string> missing_;
  std::vector<absl::Status> unfit_;
  int64_t bytes_done_ = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_TENSOR_SOURCE_H_
