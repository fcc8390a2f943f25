#include "core/cache/recurrent_states.h"

#include <ATen/ops/zeros.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/cache/checked_bytes.h"
#include "core/tensor/aten.h"

namespace keel {

absl::StatusOr<RecurrentStates> RecurrentStates::Create(std::vector<StateSpec> specs) {
  RecurrentStates states;
  for (const StateSpec& spec : specs) {
    std::vector<int64_t> factors = spec.dims;
    factors.push_back(static_cast<int64_t>(BytesOf(spec.dtype)));
    absl::StatusOr<int64_t> bytes = CheckedBytes(factors);
    if (bytes.ok()) bytes = CheckedBytes({states.slot_bytes_ + *bytes});
    if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("state ", spec.object));
    states.slot_bytes_ = *bytes;
  }
  states.specs_ = std::move(specs);
  return states;
}

absl::Status RecurrentStates::Allocate(int32_t num_slots) {
  if (num_slots < 1) return absl::InvalidArgumentError("recurrent states need at least one slot");
  tensors_.clear();
  num_slots_ = 0;
  KEEL_RETURN_IF_ERROR(CatchAten([&]() -> absl::Status {
    for (const StateSpec& spec : specs_) {
      std::vector<int64_t> dims = {num_slots};
      dims.insert(dims.end(), spec.dims.begin(), spec.dims.end());
      const std::optional<at::ScalarType> type = ToScalarType(spec.dtype);
      if (!type) return absl::InvalidArgumentError("a recurrent state of a type without tensors");
      tensors_.push_back(at::zeros(dims, *type));
    }
    return absl::OkStatus();
  }));
  num_slots_ = num_slots;
  return absl::OkStatus();
}

absl::Status RecurrentStates::Check(int32_t slot) const {
  if (slot >= 0 && slot < num_slots_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("state slot ", slot, " of ", num_slots_, " slots"));
}

absl::Status RecurrentStates::Clear(int32_t slot) {
  KEEL_RETURN_IF_ERROR(Check(slot));
  return CatchAten([&]() -> absl::Status {
    for (at::Tensor& tensor : tensors_) tensor.select(0, slot).zero_();
    return absl::OkStatus();
  });
}

absl::Status RecurrentStates::Copy(int32_t from, int32_t to) {
  KEEL_RETURN_IF_ERROR(Check(from));
  KEEL_RETURN_IF_ERROR(Check(to));
  return CatchAten([&]() -> absl::Status {
    for (at::Tensor& tensor : tensors_) tensor.select(0, to).copy_(tensor.select(0, from));
    return absl::OkStatus();
  });
}

at::Tensor RecurrentStates::Of(uint32_t object) const {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (specs_[i].object == object) return tensors_[i];
  }
  return {};
}

}  // namespace keel
