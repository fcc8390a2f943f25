// Compiled with -ffp-contract=off: a fused multiply-add, which not every variant has, would round
// differently.
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

// Of AVX2, and of AVX-512.
template <int kWidth>
struct Lanes {
  typedef float F32 __attribute__((vector_size(4 * kWidth)));
  typedef uint32_t U32 __attribute__((vector_size(4 * kWidth)));
};
constexpr int64_t kLanes = 8;  // that a block is summed in, by every variant
using F32x8 = Lanes<8>::F32;
using U32x8 = Lanes<8>::U32;

constexpr float kAbsent = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

template <typename F32>
KEEL_INLINE void Load(const float* x, F32* out) {
  std::memcpy(out, x, sizeof(*out));
}
template <typename F32>
KEEL_INLINE void Store(const F32& v, float* x) {
  std::memcpy(x, &v, sizeof(v));
}

// v where -87 < d <= 0, else 0.
KEEL_INLINE void KeepCounted(const F32x8& d, F32x8* v) {
  const auto counts = (d <= 0.0f) & (d > -87.0f);
  *v = counts ? *v : F32x8{};
}
#if defined(__x86_64__)
// GCC 12 makes scalar code of the above in this width, and inlines what is behind the intrinsics alone.
KEEL_INLINE void KeepCounted(const Lanes<16>::F32& d, Lanes<16>::F32* v) {
  using F32 = Lanes<16>::F32;
  constexpr int kRounding = 4;  // as the mode says
  const uint16_t most =
      __builtin_ia32_cmpps512_mask(d, F32{}, _CMP_LE_OQ, static_cast<uint16_t>(-1), kRounding);
  const uint16_t counts =
      __builtin_ia32_cmpps512_mask(d, F32{} - 87.0f, _CMP_GT_OQ, most, kRounding);
  *v = __builtin_ia32_movaps512_mask(*v, F32{}, counts);
}
#endif

// d = x / t - best and w = exp(d), Cephes' expf; both 0 unless -87 < d <= 0.
template <int kWidth>
KEEL_INLINE void Weigh(const typename Lanes<kWidth>::F32& x, float t, float best,
                       typename Lanes<kWidth>::F32* d, typename Lanes<kWidth>::F32* w) {
  using F32 = typename Lanes<kWidth>::F32;
  using U32 = typename Lanes<kWidth>::U32;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the mantissa
  const F32 distance = x / t - best;
  *d = distance;
  KeepCounted(distance, d);
  F32 n = *d * 1.44269504f + kRound;
  const U32 power = (reinterpret_cast<U32>(n) - 0x4b400000u + 127) << 23;  // 2^n
  n -= kRound;
  const F32 r = *d - n * 0.693359375f + n * 2.12194440e-4f;
  F32 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  *w = p * reinterpret_cast<F32>(power);
  KeepCounted(distance, w);
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

// Adds eight lanes after eight: the order, and with it the bits, are those of every variant.
template <typename F32>
KEEL_INLINE void Add(const F32& v, F32x8* sum) {
  for (size_t i = 0; i < sizeof(v); i += sizeof(F32x8)) {
    F32x8 part;
    std::memcpy(&part, reinterpret_cast<const char*>(&v) + i, sizeof(part));
    *sum += part;
  }
}

template <int kWidth>
KEEL_INLINE BlockSum SumBlock(const float* x, float t, float best) {
  F32x8 weights = {}, moments = {};
  typename Lanes<kWidth>::F32 v, d, w;
  for (int64_t i = 0; i < kRowBlock; i += kWidth) {
    Load(x + i, &v);
    Weigh<kWidth>(v, t, best, &d, &w);
    Add(w, &weights);
    d *= w;
    Add(d, &moments);
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

template <int kWidth>
KEEL_INLINE void BlockSums(const float* x, int64_t n, float t, float best, BlockSum* sums) {
  const int64_t whole = n / kRowBlock;
  for (int64_t b = 0; b < whole; ++b) sums[b] = SumBlock<kWidth>(x + b * kRowBlock, t, best);
  if (whole < RowBlocks(n)) sums[whole] = SumBlock<kWidth>(PaddedBlock(x, n).x, t, best);
}

template <int kWidth>
KEEL_INLINE void Weights(const float* x, int64_t n, float t, float best, float* out) {
  typename Lanes<kWidth>::F32 v, d, w;
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    Load(x + i, &v);
    Weigh<kWidth>(v, t, best, &d, &w);
    Store(w, out + i);
  }
  if (i == n) return;
  float rest[kWidth] = {};
  std::copy(x + i, x + n, rest);
  Load(rest, &v);
  Weigh<kWidth>(v, t, best, &d, &w);
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

// The functions above, inlined into ones of an instruction set: those that mostly read, and those that
// compute.
#define KEEL_READING_ROW_KERNELS(name, target)                              \
  target void BlockMaxima##name(const float* x, int64_t n, float* maxima) { \
    BlockMaxima(x, n, maxima);                                              \
  }                                                                         \
  target void KeepMasked##name(float* x, int64_t n, const uint32_t* mask) { \
    KeepMasked(x, n, mask);                                                 \
  }
#define KEEL_COMPUTING_ROW_KERNELS(name, target, width)                                         \
  target void BlockSums##name(const float* x, int64_t n, float t, float best, BlockSum* sums) { \
    BlockSums<width>(x, n, t, best, sums);                                                      \
  }                                                                                             \
  target void Weights##name(const float* x, int64_t n, float t, float best, float* out) {       \
    Weights<width>(x, n, t, best, out);                                                         \
  }
KEEL_READING_ROW_KERNELS(Plain, )
KEEL_COMPUTING_ROW_KERNELS(Plain, , 8)
#if defined(__x86_64__)
KEEL_READING_ROW_KERNELS(Avx2, KEEL_TARGET_AVX2)
KEEL_COMPUTING_ROW_KERNELS(Avx2, KEEL_TARGET_AVX2, 8)
KEEL_COMPUTING_ROW_KERNELS(Avx512, KEEL_TARGET_AVX512, 16)
#endif

}  // namespace

std::vector<RowKernels> RowKernelVariants(const CpuFeatures& cpu) {
  std::vector<RowKernels> variants = {
      {"plain", BlockMaximaPlain, BlockSumsPlain, WeightsPlain, AtLeastPlain, KeepMaskedPlain}};
#if defined(__x86_64__)
  if (cpu.avx2)
    variants.push_back(
        {"avx2", BlockMaximaAvx2, BlockSumsAvx2, WeightsAvx2, AtLeastAvx2, KeepMaskedAvx2});
  if (cpu.avx512)  // what mostly reads gains nothing by wider registers
    variants.push_back(
        {"avx512", BlockMaximaAvx2, BlockSumsAvx512, WeightsAvx512, AtLeastAvx2, KeepMaskedAvx2});
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
