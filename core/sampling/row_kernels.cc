// Compiled with -ffp-contract=off: a fused multiply-add, which not every variant has, would round
// differently. AVX-512 machines run the AVX2 variant.
#include "core/sampling/row_kernels.h"

#include <algorithm>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/kernels/lanes.h"

namespace keel {
namespace {

// Eight lanes: what GCC 12 keeps in a register of AVX2. Comparisons and selections of vectors wider
// than the machine's become scalar code.
constexpr int64_t kLanes = 8;
typedef float F32x8 __attribute__((vector_size(32)));
typedef uint32_t U32x8 __attribute__((vector_size(32)));

constexpr float kAbsent = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

KEEL_INLINE void Load(const float* x, F32x8* out) { std::memcpy(out, x, sizeof(*out)); }
KEEL_INLINE void Store(const F32x8& v, float* x) { std::memcpy(x, &v, sizeof(v)); }

// d = x / t - best and w = exp(d), Cephes' expf; both 0 unless -87 < d <= 0.
KEEL_INLINE void Weigh(const F32x8& x, float t, float best, F32x8* d, F32x8* w) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the mantissa
  const F32x8 zero = {};
  *d = x / t - best;
  const auto counts = (*d <= 0.0f) & (*d > -87.0f);
  *d = counts ? *d : zero;
  F32x8 n = *d * 1.44269504f + kRound;
  const U32x8 power = (reinterpret_cast<U32x8>(n) - 0x4b400000u + 127) << 23;  // 2^n
  n -= kRound;
  const F32x8 r = *d - n * 0.693359375f + n * 2.12194440e-4f;
  F32x8 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  *w = counts ? p * reinterpret_cast<F32x8>(power) : zero;
}

KEEL_INLINE float BlockMaximum(const float* x) {
  F32x8 best = F32x8{} + kAbsent, v;
  for (int64_t i = 0; i < kRowBlock; i += kLanes) {
    Load(x + i, &v);
    best = (v > best) & (v <= kLargest) ? v : best;
  }
  float all = best[0];
  for (int64_t i = 1; i < kLanes; ++i) all = std::max(all, best[i]);
  return all;
}

KEEL_INLINE BlockSum SumBlock(const float* x, float t, float best) {
  F32x8 weights = {}, moments = {}, v, d, w;
  for (int64_t i = 0; i < kRowBlock; i += kLanes) {
    Load(x + i, &v);
    Weigh(v, t, best, &d, &w);
    weights += w;
    moments += w * d;
  }
  BlockSum sum = {0, 0};
  for (int64_t i = 0; i < kLanes; ++i) sum.weight += weights[i], sum.moment += moments[i];
  return sum;
}

// A block of what the row's last, shorter one holds, and absent scores after that.
struct PaddedBlock {
  float x[kRowBlock];
  KEEL_INLINE PaddedBlock(const float* row, int64_t n) {
    const int64_t size = n % kRowBlock;
    std::fill(std::copy(row + n - size, row + n, x), x + kRowBlock, kAbsent);
  }
};

KEEL_INLINE void BlockMaxima(const float* x, int64_t n, float* maxima) {
  const int64_t whole = n / kRowBlock;
  for (int64_t b = 0; b < whole; ++b) maxima[b] = BlockMaximum(x + b * kRowBlock);
  if (whole < RowBlocks(n)) maxima[whole] = BlockMaximum(PaddedBlock(x, n).x);
}

KEEL_INLINE void BlockSums(const float* x, int64_t n, float t, float best, BlockSum* sums) {
  const int64_t whole = n / kRowBlock;
  for (int64_t b = 0; b < whole; ++b) sums[b] = SumBlock(x + b * kRowBlock, t, best);
  if (whole < RowBlocks(n)) sums[whole] = SumBlock(PaddedBlock(x, n).x, t, best);
}

KEEL_INLINE void Weights(const float* x, int64_t n, float t, float best, float* out) {
  F32x8 v, d, w;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Load(x + i, &v);
    Weigh(v, t, best, &d, &w);
    Store(w, out + i);
  }
  if (i == n) return;
  float rest[kLanes] = {};
  std::copy(x + i, x + n, rest);
  Load(rest, &v);
  Weigh(v, t, best, &d, &w);
  Store(w, rest);
  std::copy(rest, rest + (n - i), out + i);
}

KEEL_INLINE void KeepMasked(float* x, int64_t n, const uint32_t* mask) {
  const U32x8 bits = {1, 2, 4, 8, 16, 32, 64, 128};
  const F32x8 absent = F32x8{} + kAbsent;
  F32x8 v;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const uint32_t byte = mask[i / 32] >> (i % 32) & 0xff;
    if (byte == 0xff) continue;
    Load(x + i, &v);
    Store((bits & byte) != 0 ? v : absent, x + i);
  }
  for (; i < n; ++i) {
    if ((mask[i / 32] >> (i % 32) & 1) == 0) x[i] = kAbsent;
  }
}

// Without a branch, which would be as good as random.
int64_t AtLeastPlain(const float* x, int64_t n, float limit, int32_t* out) {
  int64_t size = 0;
  for (int64_t i = 0; i < n; ++i) {
    out[size] = static_cast<int32_t>(i);
    size += (x[i] >= limit) & (x[i] <= kLargest) ? 1 : 0;
  }
  return size;
}

#if defined(__x86_64__)
// Goes over eight at once where none is in, which is most of a language model's row.
KEEL_TARGET_AVX2 int64_t AtLeastAvx2(const float* x, int64_t n, float limit, int32_t* out) {
  const __m256 low = _mm256_set1_ps(limit), high = _mm256_set1_ps(kLargest);
  int64_t size = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 v = _mm256_loadu_ps(x + i);
    const __m256 in =
        _mm256_and_ps(_mm256_cmp_ps(v, low, _CMP_GE_OQ), _mm256_cmp_ps(v, high, _CMP_LE_OQ));
    auto bits = static_cast<uint32_t>(_mm256_movemask_ps(in));
    for (; bits != 0; bits &= bits - 1) out[size++] = static_cast<int32_t>(i) + __builtin_ctz(bits);
  }
  for (; i < n; ++i) {
    if (x[i] >= limit && x[i] <= kLargest) out[size++] = static_cast<int32_t>(i);
  }
  return size;
}
#endif

// The functions above, inlined into ones of an instruction set.
#define KEEL_ROW_KERNELS(name, target)                                                          \
  target void BlockMaxima##name(const float* x, int64_t n, float* maxima) {                     \
    BlockMaxima(x, n, maxima);                                                                  \
  }                                                                                             \
  target void BlockSums##name(const float* x, int64_t n, float t, float best, BlockSum* sums) { \
    BlockSums(x, n, t, best, sums);                                                             \
  }                                                                                             \
  target void Weights##name(const float* x, int64_t n, float t, float best, float* out) {       \
    Weights(x, n, t, best, out);                                                                \
  }                                                                                             \
  target void KeepMasked##name(float* x, int64_t n, const uint32_t* mask) {                     \
    KeepMasked(x, n, mask);                                                                     \
  }
KEEL_ROW_KERNELS(Plain, )
#if defined(__x86_64__)
KEEL_ROW_KERNELS(Avx2, KEEL_TARGET_AVX2)
#endif

}  // namespace

std::vector<RowKernels> RowKernelVariants(const CpuFeatures& cpu) {
  std::vector<RowKernels> variants = {
      {"plain", BlockMaximaPlain, BlockSumsPlain, WeightsPlain, AtLeastPlain, KeepMaskedPlain}};
#if defined(__x86_64__)
  if (cpu.avx2)
    variants.push_back(
        {"avx2", BlockMaximaAvx2, BlockSumsAvx2, WeightsAvx2, AtLeastAvx2, KeepMaskedAvx2});
#else
  (void)cpu;
#endif
  return variants;
}

const RowKernels& FastestRowKernels() {
  static const auto* kernels = new RowKernels(RowKernelVariants(Cpu()).back());
  return *kernels;
}

}  // namespace keel
