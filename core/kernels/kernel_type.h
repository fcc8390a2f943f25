// ATen's element types as kernels know them.
#ifndef KEEL_CORE_KERNELS_KERNEL_TYPE_H_
#define KEEL_CORE_KERNELS_KERNEL_TYPE_H_

#include <c10/core/ScalarType.h>

#include <optional>

#include "core/kernels/kv_type.h"
#include "core/kernels/lanes.h"

namespace keel {

// nullopt for a type that kernels have no variant for.
inline std::optional<KernelType> KernelTypeOf(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float:
      return KernelType::kF32;
    case c10::ScalarType::BFloat16:
      return KernelType::kBF16;
    case c10::ScalarType::Half:
      return KernelType::kF16;
    default:
      return std::nullopt;
  }
}

// nullopt for a type that no KV cache has.
inline std::optional<KvType> KvTypeOf(c10::ScalarType type) {
  if (type == c10::ScalarType::Float8_e4m3fn) return KvType::kFp8;
  if (type == c10::ScalarType::Char) return KvType::kInt8;
  const std::optional<KernelType> plain = KernelTypeOf(type);
  if (!plain.has_value()) return std::nullopt;
  return KvTypeOf(*plain);
}

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_KERNEL_TYPE_H_
