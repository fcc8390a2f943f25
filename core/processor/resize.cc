#include "core/processor/resize.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// [1, 3, h, w] over the same memory.
absl::StatusOr<at::Tensor> ViewOf(const keel_dl_tensor& image) {
  const bool is_rgb8 = image.data != nullptr && image.ndim == 3 && image.shape[2] == 3 &&
                       image.dtype.code == 1 && image.dtype.bits == 8 && image.dtype.lanes == 1 &&
                       image.device.device_type == 1;
  if (!is_rgb8 || image.shape[0] < 1 || image.shape[1] < 1)
    return absl::InvalidArgumentError("resize: an image is not RGB8 [height, width, 3] on the CPU");
  return CatchAten([&] {
    return at::from_blob(
        static_cast<uint8_t*>(image.data) + image.byte_offset,
        {1, 3, image.shape[0], image.shape[1]},
        {image.shape[0] * image.strides[0], image.strides[2], image.strides[0], image.strides[1]},
        at::TensorOptions().dtype(at::kByte));
  });
}

}  // namespace

absl::Status ResizeImage(const keel_dl_tensor& image, uint32_t resample,
                         const keel_dl_tensor& out) {
  KEEL_ASSIGN_OR_RETURN(const at::Tensor from, ViewOf(image));
  KEEL_ASSIGN_OR_RETURN(const at::Tensor to, ViewOf(out));
  const int64_t size[] = {out.shape[0], out.shape[1]};
  return CatchAten([&]() -> absl::Status {
    switch (resample) {
      case KEEL_RESAMPLE_NEAREST:
        to.copy_(at::upsample_nearest2d(from, size));
        return absl::OkStatus();
      case KEEL_RESAMPLE_BILINEAR:
        to.copy_(at::_upsample_bilinear2d_aa(from, size, /*align_corners=*/false));
        return absl::OkStatus();
      case KEEL_RESAMPLE_LANCZOS:
      case KEEL_RESAMPLE_BICUBIC:
        to.copy_(at::_upsample_bicubic2d_aa(from, size, /*align_corners=*/false));
        return absl::OkStatus();
      default:
        return absl::InvalidArgumentError(
            absl::StrCat("resize: filter ", resample, ", expected 0 to 3 (KEEL_RESAMPLE_*)"));
    }
  });
}

}  // namespace keel
