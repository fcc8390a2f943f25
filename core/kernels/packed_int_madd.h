// Weights of integers without dot products of bytes: products of 16-bit numbers, summed by twos in 32 bits (pmaddwd).
//   kInt8  codes are widened, x is in words
//   kInt4  codes of 6 bits times bytes of x, four products summed in 16 bits (pmaddubsw), then by twos in 32
// Before it is included, a .cc file defines KEEL_TARGET_MADD, its instruction set, and Vector, of kColumns lanes.
#ifndef KEEL_CORE_KERNELS_PACKED_INT_MADD_H_
#define KEEL_CORE_KERNELS_PACKED_INT_MADD_H_

#include <cstdint>
#include <cstring>

#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_int.h"

namespace keel::packed {
namespace {

constexpr int64_t kHalfStep = kPanel * 4;
// Bytes of weights that a single tile asks for before their use: a panel's halves are read in turn, group by group, in
// which the processor does not see a stream.
constexpr int64_t kCodesAhead = 4 << 10;

KEEL_TARGET_MADD inline Vector::Int Broadcast4(const uint8_t* p) {
  int32_t bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return Vector::Set(bytes);
}

KEEL_TARGET_MADD inline Vector::Int LookUpLow(const Vector::Int& nibbles) {
  return Vector::LookUp(Vector::Repeat(kInt4Levels), Vector::And(nibbles, Vector::Set(0x0f0f0f0f)));
}
KEEL_TARGET_MADD inline Vector::Int LookUpHigh(const Vector::Int& nibbles) {
  return LookUpLow(Vector::HighNibbles(nibbles));
}

// A step of a group; dots[r][v] is of row r and the columns of register v.
template <int kRows, int kVectors, RowKind kKind, bool kNibbles>
KEEL_TARGET_MADD KEEL_INLINE void DotStep(const uint8_t* w, const uint8_t* x,
                                          Vector::Int (&dots)[kRows][kVectors]) {
  if constexpr (kKind == RowKind::kWords) {
    KEEL_UNROLL for (int half = 0; half < 2; ++half, w += kHalfStep, x += kRows * 8) {
      Vector::Int even[kVectors], odd[kVectors];
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        const Vector::Int codes = Vector::Load(w + v * 4 * Vector::kColumns);
        even[v] = Vector::EvenBytes(codes);
        odd[v] = Vector::OddBytes(codes);
      }
      KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
        const Vector::Int a = Broadcast4(x + r * 8), b = Broadcast4(x + r * 8 + 4);
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
          Vector::Add32(Vector::MultiplyWords(even[v], a), &dots[r][v]);
          Vector::Add32(Vector::MultiplyWords(odd[v], b), &dots[r][v]);
        }
      }
    }
  } else {
    const Vector::Int ones = Vector::Set(0x00010001);
    Vector::Int first[kVectors], second[kVectors];
    KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
      const Vector::Int codes = Vector::Load(w + v * 4 * Vector::kColumns);
      if constexpr (kNibbles) {
        first[v] = LookUpLow(codes);
        second[v] = LookUpHigh(codes);
      } else {
        first[v] = codes;
        second[v] = Vector::Load(w + kHalfStep + v * 4 * Vector::kColumns);
      }
    }
    KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
      const Vector::Int a = Broadcast4(x + r * 4), b = Broadcast4(x + (kRows + r) * 4);
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        const Vector::Int sums =
            Vector::Add16(Vector::MultiplyBytes(first[v], a), Vector::MultiplyBytes(second[v], b));
        Vector::Add32(Vector::MultiplyWords(sums, ones), &dots[r][v]);
      }
    }
  }
}

template <int kRows, int kVectors, RowKind kKind, bool kNibbles>
KEEL_TARGET_MADD void DotTile(const IntBlock& b) {
  constexpr int64_t kStepBytes = 2 * kRows * HalfStepBytes(kKind);
  constexpr int64_t kCodeBytes = kNibbles ? kHalfStep : 2 * kHalfStep;  // of a step
  constexpr int kLines =
      (kVectors * 4 * Vector::kColumns + 63) / 64;  // of its columns in half of it
  const uint8_t* x = b.x;
  const uint8_t* ahead = b.ahead;
  for (int64_t g = 0; g < b.groups; ++g) {
    const int64_t steps = g + 1 < b.groups ? b.group_steps : b.last_steps;
    const auto* scales = reinterpret_cast<const _Float16*>(reinterpret_cast<const char*>(b.scales) +
                                                           g * b.scale_stride);
    for (int64_t c = 0; c < b.columns; c += kVectors * Vector::kColumns) {
      Vector::Int dots[kRows][kVectors];
      KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) dots[r][v] =
            Vector::Set(b.x_offsets[g * kRows + r]);
      }
      const uint8_t* w = b.weights + g * b.weight_stride + c * 4;
      for (int64_t step = 0; step < steps; ++step) {
        if (b.is_only_tile) {
          const uint8_t* next = w + step * kCodeBytes + kCodesAhead;
          KEEL_UNROLL for (int64_t i = 0; i < kCodeBytes; i += kHalfStep) {
            KEEL_UNROLL for (int line = 0; line < kLines; ++line)
                __builtin_prefetch(next + i + line * 64, 0, 3);
          }
        } else if (c == 0) {
          __builtin_prefetch(ahead, 0, 2);
          __builtin_prefetch(ahead + 64, 0, 2);
          __builtin_prefetch(ahead + b.ahead_stride, 0, 2);
          __builtin_prefetch(ahead + b.ahead_stride + 64, 0, 2);
          ahead += 2 * b.ahead_stride;
        }
        DotStep<kRows, kVectors, kKind, kNibbles>(w + step * kCodeBytes, x + step * kStepBytes,
                                                  dots);
      }
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        const int64_t column = c + v * Vector::kColumns;
        const Vector::Float weight_scales = Vector::LoadF16(scales + column);
        KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
          Vector::AddScaled(dots[r][v], b.x_scales[g * kRows + r], weight_scales,
                            b.sums + r * kPanel + column);
        }
      }
    }
    x += steps * kStepBytes;
  }
}

// kFew registers of columns for one row, kMany for more.
template <RowKind kKind, bool kNibbles, int kFew, int kMany>
void DotRows(const IntBlock& b) {
  switch (b.rows) {
    case 1:
      return DotTile<1, kFew, kKind, kNibbles>(b);
    case 2:
      return DotTile<2, kMany, kKind, kNibbles>(b);
    case 3:
      return DotTile<3, kMany, kKind, kNibbles>(b);
    case 4:
      return DotTile<4, kMany, kKind, kNibbles>(b);
  }
}

KEEL_TARGET_MADD void Expand(const uint8_t* weights, int64_t steps, int64_t columns, uint8_t* out) {
  for (int64_t step = 0; step < steps; ++step, weights += kHalfStep, out += 2 * kHalfStep) {
    for (int64_t i = 0; i < columns * 4; i += 4 * Vector::kColumns) {
      const Vector::Int nibbles = Vector::Load(weights + i);
      Vector::Store(out + i, LookUpLow(nibbles));
      Vector::Store(out + kHalfStep + i, LookUpHigh(nibbles));
    }
  }
}

KEEL_TARGET_MADD void Widen(const PackedLinear& linear, int64_t row, int64_t k, int64_t count,
                            float* out) {
  WidenPart<Vector::kColumns>(linear, row, k, count, out);
}

KEEL_TARGET_MADD void Store(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                            const float* sums) {
  StoreRow<Vector::kColumns>(linear, row, column, end, sums);
}

template <RowKind kKind>
constexpr IntKernel KernelFor(void (*dot)(const IntBlock&)) {
  return {.kind = kKind,
          .tile_rows = 4,
          .nibble_rows = kKind == RowKind::kBytes ? 4 : 0,
          .dot = dot,
          .expand = Expand,
          .quantize = QuantizeGroupAvx2,
          .widen = Widen,
          .store = Store};
}

}  // namespace
}  // namespace keel::packed

#endif  // KEEL_CORE_KERNELS_PACKED_INT_MADD_H_
