// What recurrent layers carry from token to token: one tensor a state, a row for each slot that a
// sequence holds. Zeros at the start of a sequence.
#ifndef KEEL_CORE_CACHE_RECURRENT_STATES_H_
#define KEEL_CORE_CACHE_RECURRENT_STATES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/dtype.h"

namespace keel {

struct StateSpec {
  uint32_t object = 0;  // declaration it belongs to
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;
};

class RecurrentStates {
 public:
  // kInvalidArgument for sizes that are < 1 or more than any machine holds.
  static absl::StatusOr<RecurrentStates> Create(std::vector<StateSpec> specs);

  bool empty() const { return specs_.empty(); }
  int32_t num_slots() const { return num_slots_; }
  int64_t slot_bytes() const { return slot_bytes_; }
  absl::Status Allocate(int32_t num_slots);
  absl::Status Clear(int32_t slot);
  absl::Status Copy(int32_t from, int32_t to);

  // [slots, dims...]; undefined for an object that is no state.
  at::Tensor Of(uint32_t object) const;

 private:
  RecurrentStates() = default;
  absl::Status Check(int32_t slot) const;

  int64_t slot_bytes_ = 0;  // of one slot, all states
  std::vector<StateSpec> specs_;
  std::vector<at::Tensor> tensors_;  // beside specs_
  int32_t num_slots_ = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_CACHE_RECURRENT_STATES_H_
