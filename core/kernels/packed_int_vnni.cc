// Weights of integers by AVX-512 VNNI: four products of bytes and their sum in an instruction.
#include <cstdint>

#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_int.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace keel {
namespace packed {
namespace {

#define KEEL_TARGET_VNNI \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

// Of instructions with masks of zeros: GCC 12 warns about the others' own headers.
constexpr __mmask16 kAll = 0xffff;

constexpr int64_t kColumns = 16;  // of a register
constexpr int64_t kHalfStep = kPanel * 4;
// Bytes of nibbles that are asked for before their use: to look them up takes so many instructions that the processor
// does not look far enough ahead itself.
constexpr int64_t kNibblesAhead = 4 << 10;

KEEL_TARGET_VNNI inline __m512i Broadcast4(const uint8_t* p) {
  int32_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return _mm512_set1_epi32(bytes);
}

// Of an intrinsic that overwrites its sum, GCC 12 lets the sum wander through registers and memory.
KEEL_TARGET_VNNI inline void AddProducts(const __m512i& codes, const __m512i& x, __m512i* dots) {
  asm("vpdpbusd %1, %2, %0" : "+v"(*dots) : "v"(x), "v"(codes));
}

enum class Codes { kBytes, kNibbles };

// Sums of a tile. Codes are the unsigned factors, so a row of x needs no sum of the weights.
template <int kRows, int kVectors, RowKind kKind>
struct Sums {
  static constexpr int64_t kBytes = HalfStepBytes(kKind);
  __m512i dots[kRows][kVectors], high[kRows][kVectors];

  KEEL_TARGET_VNNI KEEL_INLINE void Begin(const int32_t* offsets) {
    KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        dots[r][v] = _mm512_set1_epi32(offsets[r]);
        high[r][v] = _mm512_setzero_si512();
      }
    }
  }

  // Half a step.
  KEEL_TARGET_VNNI KEEL_INLINE void Add(const __m512i (&codes)[kVectors], const uint8_t* x) {
    KEEL_UNROLL for (int r = 0; r < kRows; ++r, x += kBytes) {
      if constexpr (kKind == RowKind::kSplit) {
        const __m512i upper = Broadcast4(x), lower = Broadcast4(x + 4);
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
          AddProducts(codes[v], upper, &high[r][v]);
          AddProducts(codes[v], lower, &dots[r][v]);
        }
      } else {
        const __m512i bytes = Broadcast4(x);
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) AddProducts(codes[v], bytes, &dots[r][v]);
      }
    }
  }

  KEEL_TARGET_VNNI KEEL_INLINE void End(const float* x_scales, const char* scales, float* sums) {
    KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
      const __m512 weight_scales = _mm512_maskz_cvtph_ps(
          kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales) + v));
      KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
        __m512i dot = dots[r][v];
        if constexpr (kKind == RowKind::kSplit) {
          dot = _mm512_add_epi32(dot, _mm512_maskz_slli_epi32(kAll, high[r][v], 8));
        }
        float* sum = sums + r * kPanel + v * kColumns;
        const __m512 scaled =
            _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(kAll, dot), _mm512_set1_ps(x_scales[r]));
        _mm512_storeu_ps(sum, _mm512_fmadd_ps(scaled, weight_scales, _mm512_loadu_ps(sum)));
      }
    }
  }
};

KEEL_TARGET_VNNI inline __m512i Levels() {
  return _mm512_maskz_broadcast_i32x4(
      kAll, _mm_load_si128(reinterpret_cast<const __m128i*>(kInt4Levels)));
}
KEEL_TARGET_VNNI inline __m512i LookUpLow(__m512i levels, __m512i nibbles) {
  return _mm512_shuffle_epi8(levels, _mm512_and_si512(nibbles, _mm512_set1_epi8(15)));
}
KEEL_TARGET_VNNI inline __m512i LookUpHigh(__m512i levels, __m512i nibbles) {
  return LookUpLow(levels, _mm512_srli_epi16(nibbles, 4));
}

template <int kRows, int kVectors, RowKind kKind, Codes kCodes>
KEEL_TARGET_VNNI void DotTile(const IntBlock& b) {
  constexpr int64_t kRowBytes = kRows * HalfStepBytes(kKind);
  const uint8_t* x = b.x;
  const uint8_t* ahead = b.ahead;
  const __m512i levels = Levels();
  for (int64_t g = 0; g < b.groups; ++g) {
    const int64_t steps = g + 1 < b.groups ? b.group_steps : b.last_steps;
    const uint8_t* w = b.weights + g * b.weight_stride;
    Sums<kRows, kVectors, kKind> sums;
    sums.Begin(b.x_offsets + g * kRows);
    __m512i codes[kVectors];
    if constexpr (kCodes == Codes::kNibbles) {
      for (int64_t step = 0; step < steps; ++step, w += kHalfStep, x += 2 * kRowBytes) {
        __m512i nibbles[kVectors];
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
          __builtin_prefetch(w + kNibblesAhead + v * 64, 0, 2);
          nibbles[v] = _mm512_loadu_si512(w + v * 64);
          codes[v] = LookUpLow(levels, nibbles[v]);
        }
        sums.Add(codes, x);
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) codes[v] = LookUpHigh(levels, nibbles[v]);
        sums.Add(codes, x + kRowBytes);
      }
    } else {
      for (int64_t half = 0; half < 2 * steps; ++half, w += kHalfStep, x += kRowBytes) {
        __builtin_prefetch(ahead, 0, 2);
        __builtin_prefetch(ahead + 64, 0, 2);
        ahead += b.ahead_stride;
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) codes[v] = _mm512_loadu_si512(w + v * 64);
        sums.Add(codes, x);
      }
    }
    sums.End(b.x_scales + g * kRows, reinterpret_cast<const char*>(b.scales) + g * b.scale_stride,
             b.sums);
  }
}

template <int kVectors, RowKind kKind, Codes kCodes>
void DotRows(const IntBlock& b) {
  switch (b.rows) {
    case 1:
      return DotTile<1, kVectors, kKind, kCodes>(b);
    case 2:
      return DotTile<2, kVectors, kKind, kCodes>(b);
    case 3:
      return DotTile<3, kVectors, kKind, kCodes>(b);
  }
  if constexpr (kKind == RowKind::kBytes) {
    if (b.rows == 4) return DotTile<4, kVectors, kKind, kCodes>(b);
    if constexpr (kCodes == Codes::kBytes) {
      return b.rows == 5 ? DotTile<5, kVectors, kKind, kCodes>(b)
                         : DotTile<6, kVectors, kKind, kCodes>(b);
    }
  }
}

template <RowKind kKind, Codes kCodes>
void DotColumns(const IntBlock& b) {
  b.columns == kPanel ? DotRows<4, kKind, kCodes>(b) : DotRows<2, kKind, kCodes>(b);
}

void DotSplit(const IntBlock& b) { DotColumns<RowKind::kSplit, Codes::kBytes>(b); }
void DotBytes(const IntBlock& b) {
  b.nibbles ? DotColumns<RowKind::kBytes, Codes::kNibbles>(b)
            : DotColumns<RowKind::kBytes, Codes::kBytes>(b);
}

KEEL_TARGET_VNNI void Expand(const uint8_t* weights, int64_t steps, int64_t columns, uint8_t* out) {
  const __m512i levels = Levels();
  for (int64_t step = 0; step < steps; ++step, weights += kHalfStep, out += 2 * kHalfStep) {
    for (int64_t i = 0; i < columns * 4; i += 64) {
      const __m512i nibbles = _mm512_loadu_si512(weights + i);
      _mm512_storeu_si512(out + i, LookUpLow(levels, nibbles));
      _mm512_storeu_si512(out + kHalfStep + i, LookUpHigh(levels, nibbles));
    }
  }
}

KEEL_TARGET_AVX512 void Widen(const PackedLinear& linear, int64_t row, int64_t k, int64_t count,
                              float* out) {
  WidenPart<16>(linear, row, k, count, out);
}

KEEL_TARGET_AVX512 void Store(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                              const float* sums) {
  StoreRow<16>(linear, row, column, end, sums);
}

const IntKernel& KernelOf(const PackedFormat& format) {
  static constexpr IntKernel kBytes = {.kind = RowKind::kBytes,
                                       .tile_rows = 6,
                                       .nibble_rows = 4,
                                       .dot = DotBytes,
                                       .expand = Expand,
                                       .quantize = QuantizeGroupAvx2,
                                       .widen = Widen,
                                       .store = Store};
  static constexpr IntKernel kSplit = {.kind = RowKind::kSplit,
                                       .tile_rows = 3,
                                       .nibble_rows = 0,
                                       .dot = DotSplit,
                                       .expand = Expand,
                                       .quantize = QuantizeGroupAvx2,
                                       .widen = Widen,
                                       .store = Store};
  return MaxQuantized(format) > 127 ? kSplit : kBytes;
}

}  // namespace
}  // namespace packed

void AppendPackedIntVnni(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (cpu.avx512_vnni) variants->push_back(packed::IntVariant<packed::KernelOf>("avx512_vnni"));
}

}  // namespace keel
#endif
