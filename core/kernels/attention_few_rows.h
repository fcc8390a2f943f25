// A few rows of queries, as decoding has them, against keys and values as they lie in the cache. What attention_pack.h
// and attention_tile.h do in two steps is one here, through registers: with few rows to share it, storing what was packed
// and loading it again would take longer than the products. The sums are the same ones in the same order, to the bit.
#ifndef KEEL_CORE_KERNELS_ATTENTION_FEW_ROWS_H_
#define KEEL_CORE_KERNELS_ATTENTION_FEW_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/kernels/attention_pack.h"
#include "core/kernels/attention_tile.h"
#include "core/kernels/lanes.h"

namespace keel::lanes {

// Rows that keys are met with in registers, and values.
constexpr int kScoreRows = 2, kValueRows = 4;

// c [kRows, kPanels * kPanel] = the products of queries a [kRows, words] with keys, rows [kPanels * kPanel] of `size`
// elements. `words` are whole kKeyWords.
template <int kWidth, typename T, bool kDot, int kRows, int kPanels>
KEEL_INLINE void ScoresOfKeys(const uint32_t* a, int64_t a_stride,
                              const typename T::Storage* const* rows, int64_t size, int64_t words,
                              float* c, int64_t c_stride) {
  using F32 = typename Vector<kWidth>::F32;
  using U32 = typename Vector<kWidth>::U32;
  constexpr int kParts = 2 * kPanels;  // of kWidth keys
  constexpr bool kIsPairs = std::is_same_v<T, BF16> && !kDot;
  F32 sums[kRows][kParts] = {};
  for (int64_t word = 0; word < words; word += kKeyWords<kWidth, T, kDot>) {
    const uint32_t* query = a + word;
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      U32 x[kWidth];
      LoadColumnsOf<kWidth, T>(rows + part * kWidth, kDot ? 2 * word : word, size, x);
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i) {
#pragma GCC unroll 2
        for (int r = 0; r < kRows; ++r) {
          if constexpr (kIsPairs) {
            const F32 even = reinterpret_cast<F32>(x[i] << 16);
            const F32 odd = reinterpret_cast<F32>(x[i] & 0xffff0000u);
            MultiplyAdd<kWidth, kDot>(query[r * a_stride + 2 * i], even, &sums[r][part]);
            MultiplyAdd<kWidth, kDot>(query[r * a_stride + 2 * i + 1], odd, &sums[r][part]);
          } else {
            const F32 column = reinterpret_cast<F32>(x[i]);
            MultiplyAdd<kWidth, kDot>(query[r * a_stride + i], column, &sums[r][part]);
          }
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part)
      std::memcpy(c + r * c_stride + part * kWidth, &sums[r][part], sizeof(F32));
  }
}

// c [kRows, kPanels * kPanel] = weights a [kRows, kPanel] times values, the columns from `column` on of rows
// [kPanel], or (adds) += it.
template <int kWidth, typename T, int kRows, int kPanels>
KEEL_INLINE void SumsOfValues(const uint32_t* a, int64_t a_stride,
                              const typename T::Storage* const* rows, int64_t column, bool adds,
                              float* c, int64_t c_stride) {
  using F32 = typename Vector<kWidth>::F32;
  constexpr int kParts = 2 * kPanels;  // of kWidth columns
  F32 sums[kRows][kParts] = {};
  if (adds) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int part = 0; part < kParts; ++part)
        std::memcpy(&sums[r][part], c + r * c_stride + part * kWidth, sizeof(F32));
    }
  }
#pragma GCC unroll 2
  for (int64_t i = 0; i < kPanel<kWidth>; ++i) {
    const typename T::Storage* row = rows[i] + column;
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part) {
      F32 x;
      LoadValues<kWidth, T>(row + part * kWidth, &x);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
        MultiplyAdd<kWidth, false>(a[r * a_stride + i], x, &sums[r][part]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part)
      std::memcpy(c + r * c_stride + part * kWidth, &sums[r][part], sizeof(F32));
  }
}

// Of `rows` <= kValueRows and the `columns` from 0 on, whole panels: as many at a time as keep the CPU busy.
template <int kWidth, typename T, int kRows = kValueRows>
KEEL_INLINE void SumsOfRows(const uint32_t* a, int64_t a_stride, int64_t rows,
                            const typename T::Storage* const* values, int64_t columns, bool adds,
                            float* c, int64_t c_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return SumsOfRows<kWidth, T, kRows - 1>(a, a_stride, rows, values, columns, adds, c,
                                              c_stride);
    }
  }
  constexpr int kPanels = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
  int64_t column = 0;
  for (; column + kPanels * kPanel<kWidth> <= columns; column += kPanels * kPanel<kWidth>) {
    SumsOfValues<kWidth, T, kRows, kPanels>(a, a_stride, values, column, adds, c + column,
                                            c_stride);
  }
  for (; column < columns; column += kPanel<kWidth>) {
    SumsOfValues<kWidth, T, kRows, 1>(a, a_stride, values, column, adds, c + column, c_stride);
  }
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_FEW_ROWS_H_
