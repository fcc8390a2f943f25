// Indices that a model computes: whatever they are, they name something that exists.
#ifndef KEEL_CORE_OPS_INDICES_H_
#define KEEL_CORE_OPS_INDICES_H_

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

namespace keel {

// As sdk/abi/plugin.h has it ("indices"): below 0 is the first of `size`, past the end the last. One
// request's numbers can't fail a step that others are in. Throws c10::Error where there is none.
inline at::Tensor ClampedIndices(const at::Tensor& indices, int64_t size) {
  TORCH_CHECK(size > 0 || indices.numel() == 0, "indices into an empty dimension");
  return indices.to(at::kLong).clamp(0, std::max<int64_t>(size - 1, 0));
}

}  // namespace keel

#endif  // KEEL_CORE_OPS_INDICES_H_
