// Weights of integers by AVX-512 without VNNI.
#include "core/kernels/packed_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace keel::packed {
namespace {

// Of instructions with masks of zeros: GCC 12 warns about the others' own headers.
constexpr __mmask16 kAll = 0xffff;

#define KEEL_TARGET_MADD KEEL_TARGET_AVX512

struct Vector {
  static constexpr int kColumns = 16;
  using Int = __m512i;
  using Float = __m512;
  static KEEL_TARGET_AVX512 KEEL_INLINE Int Set(int32_t x) { return _mm512_set1_epi32(x); }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int Load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static KEEL_TARGET_AVX512 KEEL_INLINE void Store(uint8_t* p, Int x) {
    return _mm512_storeu_si512(p, x);
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int Repeat(const uint8_t* p) {
    return _mm512_maskz_broadcast_i32x4(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int LookUp(Int table, Int x) {
    return _mm512_shuffle_epi8(table, x);
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int And(Int a, Int b) { return _mm512_and_si512(a, b); }
  // The high halves of bytes, with other bits above.
  static KEEL_TARGET_AVX512 KEEL_INLINE Int HighNibbles(Int x) { return _mm512_srli_epi16(x, 4); }
  // Bytes 0 and 2, or 1 and 3, of 32 bits as words.
  static KEEL_TARGET_AVX512 KEEL_INLINE Int EvenBytes(Int x) {
    return _mm512_and_si512(x, _mm512_set1_epi16(255));
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int OddBytes(Int x) { return _mm512_srli_epi16(x, 8); }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int MultiplyBytes(Int unsigned_bytes, Int x) {
    return _mm512_maddubs_epi16(unsigned_bytes, x);
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int MultiplyWords(Int a, Int b) {
    return _mm512_madd_epi16(a, b);
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Int Add16(Int a, Int b) { return _mm512_add_epi16(a, b); }
  // Written out: GCC 12 lets sums wander through registers and memory.
  static KEEL_TARGET_AVX512 KEEL_INLINE void Add32(const Int& x, Int* sum) {
    asm("vpaddd %1, %0, %0" : "+v"(*sum) : "v"(x));
  }
  static KEEL_TARGET_AVX512 KEEL_INLINE Float LoadF16(const _Float16* p) {
    return _mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  // sums += dots * x_scale * weight_scales
  static KEEL_TARGET_AVX512 KEEL_INLINE void AddScaled(Int dots, float x_scale, Float weight_scales,
                                                       float* sums) {
    const Float scaled =
        _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(kAll, dots), _mm512_set1_ps(x_scale));
    _mm512_storeu_ps(sums, _mm512_fmadd_ps(scaled, weight_scales, _mm512_loadu_ps(sums)));
  }
};

}  // namespace
}  // namespace keel::packed

#include "core/kernels/packed_int_madd.h"

namespace keel {
namespace packed {
namespace {

template <RowKind kKind>
void Dot(const IntBlock& b) {
  if constexpr (kKind == RowKind::kBytes) {
    if (b.nibbles)
      return b.columns == kPanel ? DotRows<kKind, true, 4, 4>(b) : DotRows<kKind, true, 2, 2>(b);
  }
  b.columns == kPanel ? DotRows<kKind, false, 4, 4>(b) : DotRows<kKind, false, 2, 2>(b);
}

const IntKernel& KernelOf(const PackedFormat& format) {
  static constexpr IntKernel kInt8 = KernelFor<RowKind::kWords>(Dot<RowKind::kWords>);
  static constexpr IntKernel kInt4 = KernelFor<RowKind::kBytes>(Dot<RowKind::kBytes>);
  return format.weights == WeightType::kInt8 ? kInt8 : kInt4;
}

}  // namespace
}  // namespace packed

void AppendPackedIntAvx512(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (cpu.avx512) variants->push_back(packed::IntVariant<packed::KernelOf>("avx512"));
}

}  // namespace keel
#endif
