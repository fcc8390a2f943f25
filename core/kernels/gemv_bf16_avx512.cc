// AVX-512 BF16: 4 weight rows times up to 4 activation rows in registers, 32 products an
// instruction. A quad of weight rows comes from memory once; further activation rows find it in L1.
#include <immintrin.h>

#include "core/kernels/gemv_bf16.h"
#include "core/kernels/gemv_bf16_x86.h"

#if defined(__x86_64__)
namespace keel {
namespace {

#define KEEL_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

constexpr int64_t kStep = 32;

KEEL_AVX512 inline __m512bh Load(const uint16_t* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}
KEEL_AVX512 inline __m512bh LoadTail(const uint16_t* p, __mmask32 mask) {
  return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, p));
}

// _mm512_reduce_add_ps, but without GCC 12's warning about its own header.
KEEL_AVX512 inline float Sum(__m512 x) {
  constexpr __mmask8 kAll = 0xff;
  const __m256 a = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(kAll, x, 0),
                                 _mm512_maskz_extractf32x8_ps(kAll, x, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// N weight rows from `w`, M activation rows from `x`, all of K.
template <int N, int M>
KEEL_AVX512 void Tile(const GemvBf16& g, int64_t m0, int64_t n0) {
  const uint16_t* w = g.w + n0 * g.ldw;
  const uint16_t* x = g.x + m0 * g.ldx;
  __m512 acc[N][M];
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < M; ++j) acc[i][j] = _mm512_setzero_ps();
  }
  int64_t k = 0;
  for (; k + kStep <= g.k; k += kStep) {
    __m512bh rows[N];
    for (int i = 0; i < N; ++i) rows[i] = Load(w + i * g.ldw + k);
    for (int j = 0; j < M; ++j) {
      const __m512bh v = Load(x + j * g.ldx + k);
      for (int i = 0; i < N; ++i) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], rows[i], v);
    }
  }
  if (k < g.k) {
    const __mmask32 mask = static_cast<__mmask32>((uint64_t{1} << (g.k - k)) - 1);
    for (int j = 0; j < M; ++j) {
      const __m512bh v = LoadTail(x + j * g.ldx + k, mask);
      for (int i = 0; i < N; ++i) {
        acc[i][j] = _mm512_dpbf16_ps(acc[i][j], LoadTail(w + i * g.ldw + k, mask), v);
      }
    }
  }
  for (int i = 0; i < N; ++i) {
    const float bias = g.bias == nullptr
                           ? 0.0f
                           : _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(
                                 static_cast<int>(static_cast<uint32_t>(g.bias[n0 + i]) << 16))));
    for (int j = 0; j < M; ++j) {
      g.y[(m0 + j) * g.ldy + n0 + i] = RoundToBf16(Sum(acc[i][j]) + bias);
    }
  }
}

template <int N>
KEEL_AVX512 void Rows(const GemvBf16& g, int64_t n0) {
  int64_t m = 0;
  for (; m + 4 <= g.m; m += 4) Tile<N, 4>(g, m, n0);
  switch (g.m - m) {
    case 3:
      return Tile<N, 3>(g, m, n0);
    case 2:
      return Tile<N, 2>(g, m, n0);
    case 1:
      return Tile<N, 1>(g, m, n0);
    default:
      return;
  }
}

}  // namespace

KEEL_AVX512 void RunGemvBf16Avx512(const GemvBf16& g, int64_t begin, int64_t end) {
  int64_t n = begin;
  for (; n + 4 <= end; n += 4) Rows<4>(g, n);
  for (; n < end; ++n) Rows<1>(g, n);
}

}  // namespace keel
#endif
