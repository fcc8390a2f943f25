#include "core/kernels/kernel_table.h"

#include <limits>

#include "core/kernels/gemv_bf16.h"
#include "core/kernels/linear.h"

namespace keel {
namespace {

using c10::DeviceType;
using c10::ScalarType;

constexpr uint64_t Bit(ScalarType type) { return uint64_t{1} << static_cast<int>(type); }
constexpr uint64_t kBF16 = Bit(ScalarType::BFloat16), k16Bit = kBF16 | Bit(ScalarType::Half),
                   kFloats = k16Bit | Bit(ScalarType::Float), kEveryType = ~uint64_t{0};

constexpr unsigned Bit(Numerics numerics) { return 1u << static_cast<int>(numerics); }
constexpr unsigned kFastest = Bit(Numerics::kFastest), kInvariant = Bit(Numerics::kInvariant),
                   kBoth = kFastest | kInvariant;

constexpr DeviceType kEveryDevice = DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES;
constexpr int64_t kMany = std::numeric_limits<int64_t>::max();

bool Any(const CpuFeatures&) { return true; }
// Without AVX-512 libtorch has no 16-bit GEMM, only a loop over elements.
bool HasNo16BitGemm(const CpuFeatures& cpu) { return !cpu.avx512; }

template <typename Function>
struct Row {
  Kernel<Function> kernel;
  DeviceType device;
  uint64_t types;
  unsigned numerics;
  bool (*cpu)(const CpuFeatures&) = Any;
  int64_t min_rows = 0, max_rows = kMany;

  bool Takes(const KernelKey& key, int64_t rows, const CpuFeatures& features) const {
    return (device == key.device || device == kEveryDevice) && (types & Bit(key.type)) != 0 &&
           (numerics & Bit(key.numerics)) != 0 && min_rows <= rows && rows <= max_rows &&
           cpu(features);
  }
};

constexpr Row<LinearFunction> kLinear[] = {
    {{"invariant", LinearInvariant}, DeviceType::CPU, kFloats, kInvariant},
    // A batch of decodes: weights are widened in registers, once for four rows. Of fewer rows gemv is
    // faster, for more it pays to widen the weights in memory.
    {{"widened rows", LinearInvariant}, DeviceType::CPU, k16Bit, kFastest, HasNo16BitGemm, 3, 96},
    {{"gemv", LinearGemvBf16}, DeviceType::CPU, kBF16, kFastest, Any, 1, kMaxGemvRows},
    {{"widened panels", LinearInFp32}, DeviceType::CPU, k16Bit, kFastest, HasNo16BitGemm},
    {{"aten", LinearAten}, kEveryDevice, kEveryType, kFastest},
};
constexpr Row<NormFunction> kNorm[] = {
    {{"fused", FusedNorm}, DeviceType::CPU, kFloats, kBoth},
};
constexpr Row<ActFunction> kAct[] = {
    {{"fused", FusedActivation}, DeviceType::CPU, kFloats, kBoth},
};
constexpr Row<RopeFunction> kRope[] = {
    {{"fused", FusedRope}, DeviceType::CPU, kFloats, kBoth},
};

template <typename Function, size_t kRows>
const Kernel<Function>* Choose(const Row<Function> (&table)[kRows], const KernelKey& key,
                               int64_t rows, const CpuFeatures& cpu) {
  for (const Row<Function>& row : table) {
    if (row.Takes(key, rows, cpu)) return &row.kernel;
  }
  return nullptr;
}

}  // namespace

const Kernel<LinearFunction>& LinearKernel(const KernelKey& key, int64_t rows,
                                           const CpuFeatures& cpu) {
  const Kernel<LinearFunction>* kernel = Choose(kLinear, key, rows, cpu);
  TORCH_CHECK(kernel != nullptr, "a linear of ", key.type, " on ", key.device,
              " has no batch-invariant kernel; run without --deterministic");
  return *kernel;
}

const Kernel<NormFunction>* NormKernel(const KernelKey& key, const CpuFeatures& cpu) {
  return Choose(kNorm, key, /*rows=*/0, cpu);
}

const Kernel<ActFunction>* ActKernel(const KernelKey& key, const CpuFeatures& cpu) {
  return Choose(kAct, key, /*rows=*/0, cpu);
}

const Kernel<RopeFunction>* RopeKernel(const KernelKey& key, const CpuFeatures& cpu) {
  return Choose(kRope, key, /*rows=*/0, cpu);
}

}  // namespace keel
