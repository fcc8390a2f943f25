#include "core/kernels/kernel_table.h"

#include "core/kernels/linear.h"

namespace keel {
namespace {

using c10::DeviceType;
using c10::ScalarType;

constexpr uint64_t Bit(ScalarType type) { return uint64_t{1} << static_cast<int>(type); }
constexpr uint64_t kFloats =
                       Bit(ScalarType::BFloat16) | Bit(ScalarType::Half) | Bit(ScalarType::Float),
                   kEveryType = ~uint64_t{0};

constexpr unsigned Bit(Numerics numerics) { return 1u << static_cast<int>(numerics); }
constexpr unsigned kFastest = Bit(Numerics::kFastest), kInvariant = Bit(Numerics::kInvariant),
                   kBoth = kFastest | kInvariant;

constexpr DeviceType kEveryDevice = DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES;

template <typename Function>
struct Row {
  Kernel<Function> kernel;
  DeviceType device;
  uint64_t types;
  unsigned numerics;

  bool Takes(const KernelKey& key) const {
    return (device == key.device || device == kEveryDevice) && (types & Bit(key.type)) != 0 &&
           (numerics & Bit(key.numerics)) != 0;
  }
};

constexpr Row<LinearFunction> kLinear[] = {
    {{"invariant", LinearInvariant}, DeviceType::CPU, kFloats, kInvariant},
    // Of what is not packed (core/kernels/packed_linear.h), which is nothing of a model on a CPU.
    {{"aten", LinearAten}, kEveryDevice, kEveryType, kFastest},
};
constexpr Row<NormFunction> kNorm[] = {
    {{"fused", FusedNorm}, DeviceType::CPU, kFloats, kBoth},
};
constexpr Row<ActFunction> kAct[] = {
    {{"fused", FusedActivation}, DeviceType::CPU, kFloats, kBoth},
};
constexpr Row<ElementFunction> kElement[] = {
    {{"fused", FusedElements}, DeviceType::CPU, kFloats, kBoth},
};
constexpr Row<RopeFunction> kRope[] = {
    {{"fused", FusedRope}, DeviceType::CPU, kFloats, kBoth},
};

template <typename Function, size_t kRows>
const Kernel<Function>* Choose(const Row<Function> (&table)[kRows], const KernelKey& key) {
  for (const Row<Function>& row : table) {
    if (row.Takes(key)) return &row.kernel;
  }
  return nullptr;
}

}  // namespace

const Kernel<LinearFunction>& LinearKernel(const KernelKey& key) {
  const Kernel<LinearFunction>* kernel = Choose(kLinear, key);
  TORCH_CHECK(kernel != nullptr, "a linear of ", key.type, " on ", key.device,
              " has no batch-invariant kernel; run without --deterministic");
  return *kernel;
}

const Kernel<NormFunction>* NormKernel(const KernelKey& key) { return Choose(kNorm, key); }

const Kernel<ActFunction>* ActKernel(const KernelKey& key) { return Choose(kAct, key); }

const Kernel<ElementFunction>* ElementKernel(const KernelKey& key) { return Choose(kElement, key); }

const Kernel<RopeFunction>* RopeKernel(const KernelKey& key) { return Choose(kRope, key); }

}  // namespace keel
