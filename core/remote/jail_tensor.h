// Tensors of the ABI as messages between a host and a jail.
#ifndef KEEL_CORE_REMOTE_JAIL_TENSOR_H_
#define KEEL_CORE_REMOTE_JAIL_TENSOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/remote/jail.pb.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Bytes of a contiguous tensor; kInvalidArgument for a type without whole bytes, more dimensions than
// KEEL_MAX_DIMS, a negative one, or more than a frame holds.
absl::StatusOr<int64_t> TensorBytes(uint32_t dtype, absl::Span<const int64_t> dims);

// Whether a message's data is as long as its type and dimensions say.
absl::Status CheckTensor(const proto::JailTensor& tensor);

// Whether a jail may ask for that spectrum: F32 vectors, and a result that a frame holds.
absl::Status CheckSpectrum(const proto::PowerSpectrum& asked);

// A contiguous copy of a CPU tensor of the ABI, whatever its strides.
absl::StatusOr<proto::JailTensor> ToMessage(const keel_dl_tensor& tensor);
// F32 [n].
absl::StatusOr<proto::JailTensor> ToMessage(const float* values, int64_t n);

// A view of memory that this does not own, row-major. Stays where it is.
class RowMajorView {
 public:
  RowMajorView(uint32_t dtype, absl::Span<const int64_t> dims, void* data);
  RowMajorView(const RowMajorView&) = delete;
  RowMajorView& operator=(const RowMajorView&) = delete;

  keel_dl_tensor* get() { return &tensor_; }

 private:
  std::vector<int64_t> shape_, strides_;
  keel_dl_tensor tensor_ = {};
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAIL_TENSOR_H_
