// Image resizing for processors: what torchvision does for transformers, antialiased.
#ifndef KEEL_CORE_PROCESSOR_RESIZE_H_
#define KEEL_CORE_PROCESSOR_RESIZE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Writes `image`, RGB8 [h, w, 3], into `out`, RGB8 [h', w', 3], by the filter KEEL_RESAMPLE_*. LANCZOS is bicubic, as in
// transformers with a torchvision below 0.27. Any strides. INVALID_ARGUMENT: no such images, sizes or filter. Thread-safe.
absl::Status ResizeImage(const keel_dl_tensor& image, uint32_t resample, const keel_dl_tensor& out);

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_RESIZE_H_
