// Rows of x to integers, for all variants from AVX2 up.
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/kernels/packed_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace keel::packed {
namespace {

KEEL_TARGET_AVX2 inline __m256i AbsBits(const float* x) {
  return _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
                          _mm256_set1_epi32(0x7fffffff));
}

KEEL_TARGET_AVX2 inline int32_t Greatest(__m256i x) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

KEEL_TARGET_AVX2 inline int32_t Sum(__m256i x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

// Eight numbers of 16 bits as two half steps.
template <RowKind kKind>
KEEL_TARGET_AVX2 inline void StoreStep(__m128i q, uint8_t* out, int64_t stride) {
  if constexpr (kKind == RowKind::kBytes) {
    const __m128i bytes = _mm_packs_epi16(q, q);
    _mm_storeu_si32(out, bytes);
    _mm_storeu_si32(out + stride, _mm_srli_epi64(bytes, 32));
  } else if constexpr (kKind == RowKind::kSplit || kKind == RowKind::kPlanes) {
    const __m128i high = _mm_srai_epi16(_mm_add_epi16(q, _mm_set1_epi16(128)), 8);
    const __m128i low = _mm_and_si128(q, _mm_set1_epi16(255));
    const __m128i high_bytes = _mm_packs_epi16(high, high), low_bytes = _mm_packus_epi16(low, low);
    if constexpr (kKind == RowKind::kSplit) {
      const __m128i bytes = _mm_unpacklo_epi32(high_bytes, low_bytes);
      _mm_storeu_si64(out, bytes);
      _mm_storeu_si64(out + stride, _mm_unpackhi_epi64(bytes, bytes));
    } else {
      _mm_storeu_si32(out, high_bytes);
      _mm_storeu_si32(out + stride, _mm_srli_epi64(high_bytes, 32));
      _mm_storeu_si32(out + kPlane, low_bytes);
      _mm_storeu_si32(out + kPlane + stride, _mm_srli_epi64(low_bytes, 32));
    }
  } else {
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    const __m128i words = _mm_shuffle_epi8(q, order);
    _mm_storeu_si64(out, words);
    _mm_storeu_si64(out + stride, _mm_unpackhi_epi64(words, words));
  }
}

template <RowKind kKind>
KEEL_TARGET_AVX2 int32_t Quantize(const float* x, int64_t steps, float inverse, uint8_t* out,
                                  int64_t stride) {
  const __m256 factor = _mm256_set1_ps(inverse);
  __m256i sum = _mm256_setzero_si256();
  for (int64_t step = 0; step < steps; ++step) {
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + step * kStep), factor));
    sum = _mm256_add_epi32(sum, q);
    StoreStep<kKind>(_mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)),
                     out + 2 * step * stride, stride);
  }
  return Sum(sum);
}

}  // namespace

KEEL_TARGET_AVX2 QuantizedGroup QuantizeGroupAvx2(const float* x, int64_t steps, RowKind kind,
                                                  int max, uint8_t* out, int64_t stride) {
  __m256i greatest_bits = _mm256_setzero_si256();
  for (int64_t step = 0; step < steps; ++step) {
    greatest_bits = _mm256_max_epi32(greatest_bits, AbsBits(x + step * kStep));
  }
  const float greatest =
      _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(Greatest(greatest_bits))));
  const bool finite = greatest <= std::numeric_limits<float>::max();
  if (!finite || greatest < kLeastX) {
    for (int64_t half = 0; half < 2 * steps; ++half) {
      std::memset(out + half * stride, 0, HalfStepBytes(kind));
      if (kind == RowKind::kPlanes) std::memset(out + kPlane + half * stride, 0, 4);
    }
    return {finite ? 0.0f : std::numeric_limits<float>::quiet_NaN(), 0};
  }
  const float inverse = static_cast<float>(max) / greatest;
  QuantizedGroup group = {greatest / static_cast<float>(max), 0};
  switch (kind) {
    case RowKind::kBytes:
      group.sum = Quantize<RowKind::kBytes>(x, steps, inverse, out, stride);
      break;
    case RowKind::kSplit:
      group.sum = Quantize<RowKind::kSplit>(x, steps, inverse, out, stride);
      break;
    case RowKind::kPlanes:
      group.sum = Quantize<RowKind::kPlanes>(x, steps, inverse, out, stride);
      break;
    case RowKind::kWords:
      group.sum = Quantize<RowKind::kWords>(x, steps, inverse, out, stride);
      break;
  }
  return group;
}

}  // namespace keel::packed
#endif
