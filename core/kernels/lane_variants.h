// From a kernel that is written once over lanes.h to its variants, one an instruction set.
//
//   template <int kWidth, typename T>
//   struct Add {
//     static KEEL_INLINE void Run(const AddRows& rows, int64_t begin, int64_t end);
//   };
//   struct AddVariant {
//     const char* name;
//     void (*run)(const AddRows& rows, int64_t begin, int64_t end);
//   };
//   std::vector<AddVariant> variants = LaneVariants<AddVariant, Add>(Cpu());
//
// For kernels' .cc files only, as lanes.h.
#ifndef KEEL_CORE_KERNELS_LANE_VARIANTS_H_
#define KEEL_CORE_KERNELS_LANE_VARIANTS_H_

#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

// A kernel's functions. Each runs it for the element type that its first argument has.
template <template <int kWidth, typename T> class Kernel>
struct OnLanes {
  template <int kWidth, typename First, typename... Args>
  static KEEL_INLINE void Run(const First& first, Args... args) {
    switch (first.type) {
      case KernelType::kF32:
        return Kernel<kWidth, lanes::F32>::Run(first, args...);
      case KernelType::kBF16:
        return Kernel<kWidth, lanes::BF16>::Run(first, args...);
      case KernelType::kF16:
        return Kernel<kWidth, lanes::F16>::Run(first, args...);
    }
  }

  template <typename First, typename... Args>
  static void Plain(const First& first, Args... args) {
    Run<4, First, Args...>(first, args...);
  }
#if defined(__x86_64__)
  template <typename First, typename... Args>
  KEEL_TARGET_AVX2 static void Avx2(const First& first, Args... args) {
    Run<8, First, Args...>(first, args...);
  }
  template <typename First, typename... Args>
  KEEL_TARGET_AVX512 static void Avx512(const First& first, Args... args) {
    Run<16, First, Args...>(first, args...);
  }
#endif
};

// What `cpu` runs, plain first and the fastest last: a name, then a function a kernel.
template <typename Variant, template <int kWidth, typename T> class... Kernels>
std::vector<Variant> LaneVariants([[maybe_unused]] const CpuFeatures& cpu) {
  std::vector<Variant> variants = {{"plain", OnLanes<Kernels>::Plain...}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", OnLanes<Kernels>::Avx2...});
  if (cpu.avx512) variants.push_back({"avx512", OnLanes<Kernels>::Avx512...});
#endif
  return variants;
}

}  // namespace keel
#endif  // KEEL_CORE_KERNELS_LANE_VARIANTS_H_
