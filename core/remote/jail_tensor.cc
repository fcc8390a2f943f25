#include "core/remote/jail_tensor.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/remote/channel.h"

namespace keel {
namespace {

// A dtype is the u32 image of keel_dl_dtype: code, bits << 8, lanes << 16.
uint32_t DtypeOf(keel_dl_dtype type) {
  return type.code | uint32_t{type.bits} << 8 | uint32_t{type.lanes} << 16;
}

// Copies the elements of dimension `dim` and those after it.
void CopyFrom(const keel_dl_tensor& tensor, const char* from, int dim, size_t element,
              std::string& to) {
  if (dim == tensor.ndim) {
    to.append(from, element);
    return;
  }
  for (int64_t i = 0; i < tensor.shape[dim]; ++i) {
    CopyFrom(tensor, from + i * tensor.strides[dim] * static_cast<int64_t>(element), dim + 1,
             element, to);
  }
}

absl::Status CheckVector(const proto::JailTensor& tensor) {
  KEEL_RETURN_IF_ERROR(CheckTensor(tensor));
  if (tensor.dtype() == KEEL_F32 && tensor.dims_size() == 1 && tensor.dims(0) >= 1)
    return absl::OkStatus();
  return absl::InvalidArgumentError("power_spectrum: expected F32 of one dimension");
}

}  // namespace

absl::StatusOr<int64_t> TensorBytes(uint32_t dtype, absl::Span<const int64_t> dims) {
  int64_t bytes = (dtype >> 8 & 0xff) / 8 * (dtype >> 16);
  bool fits = bytes >= 1 && bytes <= 16 && dims.size() <= KEEL_MAX_DIMS;
  for (const int64_t dim : dims) {
    fits =
        fits && dim >= 0 && !__builtin_mul_overflow(bytes, dim, &bytes) && bytes <= kMaxFrameBytes;
  }
  if (fits) return bytes;
  return absl::InvalidArgumentError(absl::StrCat("a tensor [", absl::StrJoin(dims, ", "),
                                                 "] of type ", dtype, ", expected at most ",
                                                 kMaxFrameBytes, " bytes"));
}

absl::Status CheckTensor(const proto::JailTensor& tensor) {
  KEEL_ASSIGN_OR_RETURN(
      const int64_t bytes,
      TensorBytes(tensor.dtype(), absl::MakeConstSpan(tensor.dims().data(), tensor.dims_size())));
  if (bytes == static_cast<int64_t>(tensor.data().size())) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a tensor of ", bytes, " bytes has ", tensor.data().size()));
}

absl::Status CheckSpectrum(const proto::PowerSpectrum& asked) {
  KEEL_RETURN_IF_ERROR(CheckVector(asked.samples()));
  KEEL_RETURN_IF_ERROR(CheckVector(asked.window()));
  if (asked.hop() < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("power_spectrum: hop is ", asked.hop(), ", expected 1 or more"));
  const int64_t dims[] = {1 + asked.samples().dims(0) / asked.hop(),
                          asked.window().dims(0) / 2 + 1};
  return TensorBytes(KEEL_F32, dims).status();
}

absl::StatusOr<proto::JailTensor> ToMessage(const keel_dl_tensor& tensor) {
  const absl::Span<const int64_t> dims(tensor.shape, static_cast<size_t>(tensor.ndim));
  proto::JailTensor out;
  out.set_dtype(DtypeOf(tensor.dtype));
  out.mutable_dims()->Add(dims.begin(), dims.end());
  KEEL_ASSIGN_OR_RETURN(const int64_t bytes, TensorBytes(out.dtype(), dims));
  out.mutable_data()->reserve(static_cast<size_t>(bytes));
  CopyFrom(tensor, static_cast<const char*>(tensor.data) + tensor.byte_offset, 0,
           tensor.dtype.bits / 8 * tensor.dtype.lanes, *out.mutable_data());
  return out;
}

absl::StatusOr<proto::JailTensor> ToMessage(const float* values, int64_t n) {
  KEEL_ASSIGN_OR_RETURN(const int64_t bytes, TensorBytes(KEEL_F32, absl::MakeConstSpan(&n, 1)));
  proto::JailTensor out;
  out.set_dtype(KEEL_F32);
  out.add_dims(n);
  out.mutable_data()->assign(reinterpret_cast<const char*>(values), static_cast<size_t>(bytes));
  return out;
}

RowMajorView::RowMajorView(uint32_t dtype, absl::Span<const int64_t> dims, void* data)
    : shape_(dims.begin(), dims.end()), strides_(dims.size(), 1) {
  for (size_t i = strides_.size(); i-- > 1;) strides_[i - 1] = strides_[i] * shape_[i];
  tensor_.data = data;
  tensor_.device = {1, 0};
  tensor_.ndim = static_cast<int32_t>(dims.size());
  tensor_.dtype = {static_cast<uint8_t>(dtype), static_cast<uint8_t>(dtype >> 8),
                   static_cast<uint16_t>(dtype >> 16)};
  tensor_.shape = shape_.data();
  tensor_.strides = strides_.data();
}

}  // namespace keel
