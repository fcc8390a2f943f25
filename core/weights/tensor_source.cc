#include "core/weights/tensor_source.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/kernels/aten_threads.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// Buffers that old files carry and nobody needs.
bool IsIgnorable(absl::string_view name) {
  for (absl::string_view suffix :
       {"rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached", ".attn.bias",
        ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "position_ids"}) {
    if (absl::EndsWith(name, suffix)) return true;
  }
  return false;
}

bool IsUsual(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
}

// `name` without the base model's prefix if it has it, else with it.
std::string WithOtherPrefix(const std::string& name, const std::string& base_model_prefix) {
  const std::string prefix = base_model_prefix + ".";
  return absl::StartsWith(name, prefix) ? name.substr(prefix.size()) : prefix + name;
}

// The tensor where it lies in the file; a copy only if its bytes are not aligned to its elements.
absl::StatusOr<at::Tensor> ViewOf(const TensorView& view, TensorSource::Contents contents) {
  const std::optional<at::ScalarType> type = ToScalarType(view.dtype);
  if (!type) {
    return absl::UnimplementedError(
        absl::StrCat(view.name, ": tensors of type ", TorchName(view.dtype), " are not served"));
  }
  return CatchAten([&] {
    if (contents == TensorSource::Contents::kShapes)
      return at::empty(view.shape, at::TensorOptions().dtype(*type).device(at::kMeta));
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

std::string FirstNames(absl::Span<const std::string> names) {
  constexpr size_t kShown = 5;
  const std::string shown = absl::StrJoin(names.subspan(0, kShown), ", ");
  return names.size() <= kShown ? shown
                                : absl::StrCat(shown, " and ", names.size() - kShown, " more");
}

absl::StatusOr<TensorSource> TensorSource::Create(const proto::ModelSpec& spec,
                                                  const Checkpoint& checkpoint, OnBytes on_bytes,
                                                  Contents contents) {
  TensorSource source(spec, checkpoint, std::move(on_bytes), contents);
  std::vector<const proto::ModelSpec::Rename*> rules;
  for (const auto& rule : spec.renames()) rules.push_back(&rule);
  const auto shape_of = [&](const std::string& name) -> absl::StatusOr<std::vector<int64_t>> {
    KEEL_ASSIGN_OR_RETURN(const TensorView* view, checkpoint.Find(name));
    return std::vector<int64_t>(view->shape.begin(), view->shape.end());
  };
  KEEL_ASSIGN_OR_RETURN(source.recipes_, PlanTensors(checkpoint.names(), rules, shape_of));
  return source;
}

// With the base model's prefix added or taken away if need be.
TensorSource::Recipes::const_iterator TensorSource::FindRecipe(const std::string& name) const {
  const auto found = recipes_.find(name);
  if (found != recipes_.end() || spec_->base_model_prefix().empty()) return found;
  return recipes_.find(WithOtherPrefix(name, spec_->base_model_prefix()));
}

absl::StatusOr<at::Tensor> TensorSource::Read(const std::string& name) {
  KEEL_ASSIGN_OR_RETURN(const TensorView* view, checkpoint_->Find(name));
  if (read_.insert(name).second) {
    bytes_done_ += static_cast<int64_t>(view->bytes);
    if (on_bytes_) on_bytes_(bytes_done_, checkpoint_->weight_bytes());
  }
  return ViewOf(*view, contents_);
}

absl::StatusOr<at::Tensor> TensorSource::Make(const TensorRecipe& recipe, const std::string& name,
                                              const std::vector<int64_t>& shape, DType dtype,
                                              bool keep_type) {
  KEEL_ASSIGN_OR_RETURN(at::Tensor tensor,
                        MakeTensor(recipe, [this](const std::string& part) { return Read(part); }));
  if (tensor.sizes() != at::IntArrayRef(shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint_->dir(), ": ", absl::StrJoin(recipe.sources, ", "), " is ",
                     TensorString(tensor), ", expected ", ShapeString(shape), " for ", name));
  }
  if (IsFloatingPoint(dtype) && !tensor.is_floating_point()) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint_->dir(), ": ", absl::StrJoin(recipe.sources, ", "), " is ",
                     TensorString(tensor), ", expected a floating-point type for ", name));
  }
  const std::optional<at::ScalarType> type = ToScalarType(dtype);
  if (!type) return absl::UnimplementedError(absl::StrCat(name, ": no tensors of this type"));
  if (keep_type && IsUsual(tensor.scalar_type())) return tensor;
  absl::StatusOr<at::Tensor> cast = CatchAten([&] { return ConvertOnAllThreads(tensor, *type); });
  if (!cast.ok()) return Annotate(cast.status(), name);
  return cast;
}

absl::Status TensorSource::Get(const std::string& name, const std::vector<int64_t>& shape,
                               DType dtype, at::Tensor* out, bool keep_type) {
  const auto found = FindRecipe(name);
  if (found == recipes_.end()) {
    missing_.push_back(name);
    return absl::OkStatus();
  }
  taken_.insert(found->first);
  absl::StatusOr<at::Tensor> tensor = Make(found->second, name, shape, dtype, keep_type);
  if (tensor.ok()) {
    *out = *std::move(tensor);
    return absl::OkStatus();
  }
  if (contents_ == Contents::kValues) return tensor.status();
  unfit_.push_back(tensor.status());
  return absl::OkStatus();
}

absl::Status TensorSource::CheckComplete() const {
  if (missing_.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      checkpoint_->dir(), ": ", missing_.size(), " of the tensors that ", spec_->architecture(),
      " declares are not in the checkpoint: ", FirstNames(missing_),
      "; download it again, or add renames to the plugin if they have other names there"));
}

TensorSource::Leftovers TensorSource::FindLeftovers(
    const absl::flat_hash_set<std::string>& modules) const {
  std::set<std::string> of_modules, others;
  for (const auto& [name, recipe] : recipes_) {
    if (taken_.count(name) > 0) continue;
    const std::string module = name.substr(0, name.rfind('.'));
    const bool declared = modules.contains(module) ||
                          (!spec_->base_model_prefix().empty() &&
                           modules.contains(WithOtherPrefix(module, spec_->base_model_prefix())));
    for (const std::string& source : recipe.sources) {
      if (declared) {
        of_modules.insert(source);
      } else if (!IsIgnorable(source)) {
        others.insert(source);
      }
    }
  }
  return {{of_modules.begin(), of_modules.end()}, {others.begin(), others.end()}};
}

}  // namespace keel
