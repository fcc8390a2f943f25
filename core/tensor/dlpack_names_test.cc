// sdk/abi/plugin.h beside DLPack's own header, in both orders: they clash in no name and agree in
// every byte.
#include <cstddef>

// clang-format off
#ifdef DLPACK_FIRST
#include <ATen/dlpack.h>
#include "sdk/abi/plugin.h"
#else
#include "sdk/abi/plugin.h"
#include <ATen/dlpack.h>
#endif
// clang-format on

namespace {

static_assert(sizeof(keel_dl_tensor) == sizeof(DLTensor));
static_assert(offsetof(keel_dl_tensor, data) == offsetof(DLTensor, data));
static_assert(offsetof(keel_dl_tensor, device) == offsetof(DLTensor, device));
static_assert(offsetof(keel_dl_tensor, ndim) == offsetof(DLTensor, ndim));
static_assert(offsetof(keel_dl_tensor, dtype) == offsetof(DLTensor, dtype));
static_assert(offsetof(keel_dl_tensor, shape) == offsetof(DLTensor, shape));
static_assert(offsetof(keel_dl_tensor, strides) == offsetof(DLTensor, strides));
static_assert(offsetof(keel_dl_tensor, byte_offset) == offsetof(DLTensor, byte_offset));
static_assert(sizeof(keel_dl_device) == sizeof(DLDevice) &&
              offsetof(keel_dl_device, device_id) == offsetof(DLDevice, device_id));
static_assert(sizeof(keel_dl_dtype) == sizeof(DLDataType) &&
              offsetof(keel_dl_dtype, bits) == offsetof(DLDataType, bits) &&
              offsetof(keel_dl_dtype, lanes) == offsetof(DLDataType, lanes));

}  // namespace

int main() {
  int64_t shape[] = {2, 3};
  keel_dl_tensor tensor = {nullptr, {1, 0}, 2, {2, 32, 1}, shape, shape, 0};
  const keel_dl_tensor* view = &tensor;
  const DLTensor* other = KEEL_TO_DLPACK(view);
  return other->ndim == 2 && other->device.device_type == kDLCPU && other->dtype.code == kDLFloat &&
                 other->shape[1] == 3 && KEEL_FROM_DLPACK(other) == view
             ? 0
             : 1;
}
