#include "core/exec/tensor_source.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

constexpr size_t kNamesInMessage = 5;

// Buffers that old files carry and nobody needs.
bool IsIgnorable(absl::string_view name) {
  for (absl::string_view suffix : {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                   ".attention.bias", ".attention.masked_bias", "position_ids"}) {
    if (absl::EndsWith(name, suffix)) return true;
  }
  return false;
}

// The tensor where it lies in the file; a copy only if its bytes are not aligned to its elements.
absl::StatusOr<at::Tensor> ViewOf(const TensorView& view) {
  const std::optional<at::ScalarType> type = ToScalarType(view.dtype);
  if (!type) {
    return absl::UnimplementedError(
        absl::StrCat(view.name, ": tensors of type ", TorchName(view.dtype), " are not served"));
  }
  return CatchAten([&] {
    void* data = const_cast<uint8_t*>(view.data);  // mapped read-only, never written
    if (reinterpret_cast<uintptr_t>(data) % BytesOf(view.dtype) == 0) {
      return at::from_blob(data, view.shape, at::TensorOptions().dtype(*type));
    }
    at::Tensor copy = at::empty(view.shape, *type);
    std::memcpy(copy.data_ptr(), data, view.bytes);
    return copy;
  });
}

}  // namespace

absl::StatusOr<TensorSource> TensorSource::Create(const proto::ModelSpec& spec,
                                                  const Checkpoint& checkpoint, OnBytes on_bytes) {
  TensorSource source(spec, checkpoint, std::move(on_bytes));
  std::vector<const proto::ModelSpec::Rename*> rules;
  for (const auto& rule : spec.renames()) rules.push_back(&rule);
  KEEL_ASSIGN_OR_RETURN(source.recipes_, PlanTensors(checkpoint.names(), rules));
  return source;
}

// With the base model's prefix added or taken away if need be.
const TensorRecipe* TensorSource::FindRecipe(const std::string& name) const {
  auto found = recipes_.find(name);
  if (found != recipes_.end()) return &found->second;
  const std::string prefix = spec_->base_model_prefix() + ".";
  if (prefix == ".") return nullptr;
  found = absl::StartsWith(name, prefix)
              ? recipes_.find(std::string(absl::StripPrefix(name, prefix)))
              : recipes_.find(prefix + name);
  return found == recipes_.end() ? nullptr : &found->second;
}

absl::StatusOr<at::Tensor> TensorSource::Read(const std::string& name) {
  KEEL_ASSIGN_OR_RETURN(const TensorView* view, checkpoint_->Find(name));
  if (used_.insert(name).second) {
    bytes_done_ += static_cast<int64_t>(view->bytes);
    if (on_bytes_) on_bytes_(bytes_done_, checkpoint_->weight_bytes());
  }
  return ViewOf(*view);
}

absl::Status TensorSource::Get(const std::string& name, const std::vector<int64_t>& shape,
                               DType dtype, at::Tensor* out) {
  const TensorRecipe* recipe = FindRecipe(name);
  if (recipe == nullptr) {
    missing_.push_back(name);
    return absl::OkStatus();
  }
  KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, MakeTensor(*recipe, [this](const std::string& part) {
                          return Read(part);
                        }));
  if (tensor.sizes() != at::IntArrayRef(shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint_->dir(), ": ", absl::StrJoin(recipe->sources, ", "), " is ",
                     TensorString(tensor), ", expected ", ShapeString(shape), " for ", name));
  }
  const std::optional<at::ScalarType> type = ToScalarType(dtype);
  if (!type) return absl::UnimplementedError(absl::StrCat(name, ": no tensors of this type"));
  absl::StatusOr<at::Tensor> cast = CatchAten([&] { return tensor.to(*type); });
  if (!cast.ok()) return Annotate(cast.status(), name);
  *out = *std::move(cast);
  return absl::OkStatus();
}

absl::Status TensorSource::CheckComplete() const {
  if (missing_.empty()) return absl::OkStatus();
  const size_t shown = std::min(missing_.size(), kNamesInMessage);
  const std::string names =
      absl::StrJoin(missing_.begin(), missing_.begin() + static_cast<int64_t>(shown), ", ");
  return absl::NotFoundError(absl::StrCat(
      checkpoint_->dir(), ": ", missing_.size(), " of the tensors that ", spec_->architecture(),
      " declares are not in the checkpoint: ", names,
      missing_.size() > shown ? absl::StrCat(" and ", missing_.size() - shown, " more") : "",
      "; download it again, or add renames to the plugin if they have other names there"));
}

std::vector<std::string> TensorSource::Unused() const {
  std::vector<std::string> unused;
  for (const auto& [name, recipe] : recipes_) {
    for (const std::string& source : recipe.sources) {
      if (!used_.count(source) && !IsIgnorable(source)) unused.push_back(source);
    }
  }
  std::sort(unused.begin(), unused.end());
  unused.erase(std::unique(unused.begin(), unused.end()), unused.end());
  return unused;
}

}  // namespace keel
