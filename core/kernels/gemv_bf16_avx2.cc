// AVX2 and FMA: a vector of bf16 pairs is two vectors of f32, the low halves shifted up and the high
// halves masked, so both factors split alike and nothing is shuffled.
#include <immintrin.h>

#include "core/kernels/gemv_bf16.h"
#include "core/kernels/gemv_bf16_x86.h"

#if defined(__x86_64__)
namespace keel {
namespace {

#define KEEL_AVX2 __attribute__((target("avx2,fma")))

constexpr int64_t kStep = 16;

KEEL_AVX2 inline __m256i Load(const uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
KEEL_AVX2 inline __m256 Low(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
KEEL_AVX2 inline __m256 High(__m256i pairs) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}
KEEL_AVX2 inline float Widen(uint16_t bits) {
  return _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(static_cast<uint32_t>(bits) << 16))));
}
KEEL_AVX2 inline float Sum(__m256 x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// N weight rows times M activation rows, all of K. N * M accumulators and 2 * N + 2 operands.
template <int N, int M>
KEEL_AVX2 void Tile(const GemvBf16& g, int64_t m0, int64_t n0) {
  const uint16_t* w = g.w + n0 * g.ldw;
  const uint16_t* x = g.x + m0 * g.ldx;
  __m256 acc[N][M];
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < M; ++j) acc[i][j] = _mm256_setzero_ps();
  }
  int64_t k = 0;
  for (; k + kStep <= g.k; k += kStep) {
    __m256i rows[N];
    for (int i = 0; i < N; ++i) {
      rows[i] = Load(w + i * g.ldw + k);
      // Rows are too short for the hardware to see the stream before they end.
      if (m0 == 0) __builtin_prefetch(w + (i + N) * g.ldw + k, 0, 2);
    }
    for (int j = 0; j < M; ++j) {
      const __m256i v = Load(x + j * g.ldx + k);
      const __m256 low = Low(v), high = High(v);
      for (int i = 0; i < N; ++i) {
        acc[i][j] = _mm256_fmadd_ps(High(rows[i]), high, acc[i][j]);
        acc[i][j] = _mm256_fmadd_ps(Low(rows[i]), low, acc[i][j]);
      }
    }
  }
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < M; ++j) {
      float sum = Sum(acc[i][j]);
      for (int64_t t = k; t < g.k; ++t) sum += Widen(w[i * g.ldw + t]) * Widen(x[j * g.ldx + t]);
      if (g.bias != nullptr) sum += Widen(g.bias[n0 + i]);
      g.y[(m0 + j) * g.ldy + n0 + i] = RoundToBf16(sum);
    }
  }
}

template <int N>
KEEL_AVX2 void Rows(const GemvBf16& g, int64_t n0) {
  int64_t m = 0;
  for (; m + 2 <= g.m; m += 2) Tile<N, 2>(g, m, n0);
  if (m < g.m) Tile<N, 1>(g, m, n0);
}

}  // namespace

KEEL_AVX2 void RunGemvBf16Avx2(const GemvBf16& g, int64_t begin, int64_t end) {
  int64_t n = begin;
  for (; n + 4 <= end; n += 4) Rows<4>(g, n);
  for (; n < end; ++n) Rows<1>(g, n);
}

}  // namespace keel
#endif
