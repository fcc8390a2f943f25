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

KEEL_TARGET_VNNI inline __m512i Broadcast4(const uint8_t* p) {
  int32_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return _mm512_set1_epi32(bytes);
}

// Adds steps of a group: codes are the unsigned factors, so a row of x needs no sum of the weights.
template <int kRows, int kVectors, bool kSplit>
KEEL_TARGET_VNNI inline void DotGroup(const uint8_t* w, const uint8_t* x, int64_t steps,
                                      __m512i (&dots)[kRows][kVectors],
                                      __m512i (&high)[kRows][kVectors]) {
  constexpr int64_t kStepBytes = kSplit ? 2 * kStep : kStep;
  for (int64_t step = 0; step < steps; ++step, x += kRows * kStepBytes) {
    for (int half = 0; half < 2; ++half, w += kHalfStep) {
      __m512i codes[kVectors];
      for (int v = 0; v < kVectors; ++v) codes[v] = _mm512_loadu_si512(w + v * 64);
      for (int r = 0; r < kRows; ++r) {
        const uint8_t* q = x + r * kStepBytes + half * 4;
        if constexpr (kSplit) {
          const __m512i upper = Broadcast4(q), lower = Broadcast4(q + kStep);
          for (int v = 0; v < kVectors; ++v) {
            high[r][v] = _mm512_dpbusd_epi32(high[r][v], codes[v], upper);
            dots[r][v] = _mm512_dpbusd_epi32(dots[r][v], codes[v], lower);
          }
        } else {
          const __m512i bytes = Broadcast4(q);
          for (int v = 0; v < kVectors; ++v) {
            dots[r][v] = _mm512_dpbusd_epi32(dots[r][v], codes[v], bytes);
          }
        }
      }
    }
  }
}

template <int kRows, int kVectors, bool kSplit>
KEEL_TARGET_VNNI void DotTile(const IntBlock& b) {
  const uint8_t* x = b.x;
  const char* scales = reinterpret_cast<const char*>(b.scales);
  for (int64_t g = 0; g < b.groups; ++g, scales += b.scale_stride) {
    const int64_t steps = g + 1 < b.groups ? b.group_steps : b.last_steps;
    __m512i dots[kRows][kVectors], high[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        dots[r][v] = _mm512_set1_epi32(b.x_offsets[g * kRows + r]);
        high[r][v] = _mm512_setzero_si512();
      }
    }
    DotGroup<kRows, kVectors, kSplit>(b.weights + g * b.weight_stride, x, steps, dots, high);
    x += steps * kRows * (kSplit ? 2 * kStep : kStep);
    for (int v = 0; v < kVectors; ++v) {
      const __m512 weight_scales = _mm512_maskz_cvtph_ps(
          kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales) + v));
      for (int r = 0; r < kRows; ++r) {
        if constexpr (kSplit) {
          dots[r][v] = _mm512_add_epi32(dots[r][v], _mm512_maskz_slli_epi32(kAll, high[r][v], 8));
        }
        float* sum = b.sums + r * kPanel + v * kColumns;
        const __m512 scaled = _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(kAll, dots[r][v]),
                                            _mm512_set1_ps(b.x_scales[g * kRows + r]));
        _mm512_storeu_ps(sum, _mm512_fmadd_ps(scaled, weight_scales, _mm512_loadu_ps(sum)));
      }
    }
  }
}

template <int kVectors>
void DotBytes(const IntBlock& b) {
  switch (b.rows) {
    case 1:
      return DotTile<1, kVectors, false>(b);
    case 2:
      return DotTile<2, kVectors, false>(b);
    case 3:
      return DotTile<3, kVectors, false>(b);
    case 4:
      return DotTile<4, kVectors, false>(b);
    case 5:
      return DotTile<5, kVectors, false>(b);
    case 6:
      return DotTile<6, kVectors, false>(b);
  }
}

template <int kVectors>
void DotSplit(const IntBlock& b) {
  switch (b.rows) {
    case 1:
      return DotTile<1, kVectors, true>(b);
    case 2:
      return DotTile<2, kVectors, true>(b);
    case 3:
      return DotTile<3, kVectors, true>(b);
  }
}

KEEL_TARGET_VNNI void Expand(const uint8_t* weights, int64_t steps, int64_t columns, uint8_t* out) {
  const __m512i levels = _mm512_maskz_broadcast_i32x4(
      kAll, _mm_load_si128(reinterpret_cast<const __m128i*>(kInt4Levels)));
  const __m512i low = _mm512_set1_epi8(15);
  for (int64_t step = 0; step < steps; ++step, weights += kHalfStep, out += 2 * kHalfStep) {
    for (int64_t i = 0; i < columns * 4; i += 64) {
      const __m512i codes = _mm512_loadu_si512(weights + i);
      _mm512_storeu_si512(out + i, _mm512_shuffle_epi8(levels, _mm512_and_si512(codes, low)));
      _mm512_storeu_si512(
          out + kHalfStep + i,
          _mm512_shuffle_epi8(levels, _mm512_and_si512(_mm512_srli_epi16(codes, 4), low)));
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

void DotBytesOf(const IntBlock& b) { b.columns == kPanel ? DotBytes<4>(b) : DotBytes<2>(b); }
void DotSplitOf(const IntBlock& b) { b.columns == kPanel ? DotSplit<4>(b) : DotSplit<2>(b); }

const IntKernel& KernelOf(const PackedFormat& format) {
  static constexpr IntKernel kBytes = {.kind = RowKind::kBytes,
                                       .tile_rows = 6,
                                       .dot = DotBytesOf,
                                       .expand = Expand,
                                       .quantize = QuantizeGroupAvx2,
                                       .widen = Widen,
                                       .store = Store};
  static constexpr IntKernel kSplit = {.kind = RowKind::kSplit,
                                       .tile_rows = 3,
                                       .dot = DotSplitOf,
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
