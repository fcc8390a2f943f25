// ATen's element types as kernels know them.
#ifndef KEEL_CORE_KERNELS_KERNEL_TYPE_H_
#define KEEL_CORE_KERNELS_KERNEL_TYPE_H_

#include <c10/core/ScalarType.h>

#include <optional>

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

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_KERNEL_TYPE_H_
