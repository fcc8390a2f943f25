// Weights of floating point by AVX2, by AVX-512 and by AVX-512's dot products of bf16.
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include "core/kernels/packed_float_tiles.h"
#include "core/kernels/packed_linear_variants.h"

namespace keel {
namespace {

using packed::Avx2, packed::Avx512;

// x in fp32.

bool TakesFloats(const PackedFormat& format, KernelType) {
  return format.weights == WeightType::kF32 || format.weights == WeightType::kBF16 ||
         format.weights == WeightType::kF16;
}

// An even number of inputs, as lines of bf16 have.
int64_t WideRowBytes(const PackedFormat&, int64_t k) { return PaddedRowBytes((k + 1) / 2 * 8); }

template <typename Isa>
struct WidenRows {
  static KEEL_INLINE void Run(const PackedLinear& linear, int64_t row_begin, int64_t row_end,
                              char* rows) {
    const int64_t stride = WideRowBytes(linear.format, linear.k);
    for (int64_t row = row_begin; row < row_end; ++row, rows += stride) {
      auto* out = reinterpret_cast<float*>(rows);
      packed::WidenRow<Isa::kLanes>(linear, row, out);
      if (linear.k % 2 != 0) out[linear.k] = 0;
    }
  }
};

template <typename Isa>
void ConvertToF32(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  Isa::template Call<WidenRows<Isa>>(linear, row_begin, row_end, static_cast<char*>(rows));
}

template <typename Isa>
void RunInF32(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  const auto* x = static_cast<const float*>(rows);
  const int64_t ldx = WideRowBytes(linear.format, linear.k) / 4;
  switch (linear.format.weights) {
    case WeightType::kF32:
      return packed::RunPart<Isa, packed::F32Lines<Isa>>(linear, x, ldx, part);
    case WeightType::kBF16:
      return packed::RunPart<Isa, packed::BF16Lines<Isa>>(linear, x, ldx, part);
    case WeightType::kF16:
      return packed::RunPart<Isa, packed::F16Lines<Isa>>(linear, x, ldx, part);
    case WeightType::kInt8:
    case WeightType::kInt4:
      return;  // not taken
  }
}

// x in pairs of bf16.

// x that is no bf16 would lose bits.
bool TakesBF16(const PackedFormat& format, KernelType type) {
  return format.weights == WeightType::kBF16 && type == KernelType::kBF16;
}

int64_t PairRowBytes(const PackedFormat&, int64_t k) { return PaddedRowBytes((k + 1) / 2 * 4); }

void CopyPairs(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  const int64_t stride = PairRowBytes(linear.format, linear.k);
  const auto* x = static_cast<const uint16_t*>(linear.x);
  auto* out = static_cast<char*>(rows);
  for (int64_t row = row_begin; row < row_end; ++row, out += stride) {
    std::memcpy(out, x + row * linear.ldx, linear.k * sizeof(*x));
    if (linear.k % 2 != 0) std::memset(out + linear.k * sizeof(*x), 0, sizeof(*x));
  }
}

void RunDots(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  packed::RunPart<Avx512, packed::BF16Dots<Avx512>>(
      linear, static_cast<const uint32_t*>(rows), PairRowBytes(linear.format, linear.k) / 4, part);
}

}  // namespace

void AppendPackedFloat(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (cpu.avx2) {
    variants->push_back(
        {"avx2", TakesFloats, WideRowBytes, ConvertToF32<Avx2>, RunInF32<Avx2>, true});
  }
  if (cpu.avx512) {
    variants->push_back(
        {"avx512", TakesFloats, WideRowBytes, ConvertToF32<Avx512>, RunInF32<Avx512>, true});
  }
  if (cpu.avx512_bf16) {
    variants->push_back({"avx512_bf16", TakesBF16, PairRowBytes, CopyPairs, RunDots, true});
  }
}

}  // namespace keel
#endif
