#include "core/tensor/dlpack.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/tensor/aten.h"

namespace keel {

absl::Status DlpackView::Set(const at::Tensor& tensor) {
  if (!tensor.defined()) return absl::InvalidArgumentError("no tensor where a kernel needs one");
  const std::optional<DType> dtype = FromScalarType(tensor.scalar_type());
  if (!dtype || tensor.dim() > KEEL_MAX_DIMS || !tensor.device().is_cpu()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a kernel can't take ", TensorString(tensor), " as DLPack"));
  }
  tensor_ = tensor;
  std::copy(tensor.sizes().begin(), tensor.sizes().end(), shape_.begin());
  std::copy(tensor.strides().begin(), tensor.strides().end(), strides_.begin());
  const uint32_t image = static_cast<uint32_t>(*dtype);
  view_.data = tensor.data_ptr();
  view_.device = {1, 0};
  view_.ndim = static_cast<int32_t>(tensor.dim());
  view_.dtype = {static_cast<uint8_t>(image), static_cast<uint8_t>(image >> 8),
                 static_cast<uint16_t>(image >> 16)};
  view_.shape = shape_.data();
  view_.strides = strides_.data();
  view_.byte_offset = 0;
  return absl::OkStatus();
}

}  // namespace keel
