// What the numbers of a KV cache are stored as.
#ifndef KEEL_CORE_KERNELS_KV_TYPE_H_
#define KEEL_CORE_KERNELS_KV_TYPE_H_

#include <cstdint>

#include "core/kernels/lanes.h"

namespace keel {

// kFp8 is e4m3fn. A row of 8-bit codes, one token's of one head, has a scale, which its codes are multiplied by.
enum class KvType : uint8_t { kF32, kBF16, kF16, kFp8, kInt8 };

constexpr bool HasScales(KvType type) { return type == KvType::kFp8 || type == KvType::kInt8; }

constexpr KvType KvTypeOf(KernelType type) {
  switch (type) {
    case KernelType::kF32:
      return KvType::kF32;
    case KernelType::kBF16:
      return KvType::kBF16;
    case KernelType::kF16:
      return KvType::kF16;
  }
  return KvType::kF32;
}

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_KV_TYPE_H_
