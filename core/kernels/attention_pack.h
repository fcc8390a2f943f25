// Keys and values of the cache in the panels that attention_tile.h multiplies by.
#ifndef KEEL_CORE_KERNELS_ATTENTION_PACK_H_
#define KEEL_CORE_KERNELS_ATTENTION_PACK_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/kernels/attention_tile.h"
#include "core/kernels/lanes.h"

namespace keel::lanes {

// Words that a row of `size` elements takes as a side of a product; an odd one is filled up by a 0.
template <bool kDot>
constexpr int64_t WordsOf(int64_t size) {
  return kDot ? (size + 1) / 2 : (size + 1) / 2 * 2;
}

// What of registers a and b stands in place i of the result, b's elements after a's.
template <int kWidth>
struct LowWords {  // of each four, interleaved
  static constexpr int Of(int i) { return i / 4 * 4 + i % 4 / 2 + (i % 2) * kWidth; }
};
template <int kWidth>
struct HighWords {
  static constexpr int Of(int i) { return LowWords<kWidth>::Of(i) + 2; }
};
template <int kWidth>
struct LowPairs {
  static constexpr int Of(int i) { return i / 4 * 4 + i % 2 + i % 4 / 2 * kWidth; }
};
template <int kWidth>
struct HighPairs {
  static constexpr int Of(int i) { return LowPairs<kWidth>::Of(i) + 2; }
};
template <int kWidth>
struct EvenFours {
  static constexpr int Of(int i) { return i / 4 * 8 + i % 4; }
};
template <int kWidth>
struct OddFours {
  static constexpr int Of(int i) { return EvenFours<kWidth>::Of(i) + 4; }
};

template <typename Places, typename Register, int... kPlace>
KEEL_INLINE void ShuffleTo(const Register& a, const Register& b, Register* out,
                           std::integer_sequence<int, kPlace...>) {
  *out = __builtin_shufflevector(a, b, Places::Of(kPlace)...);
}

template <int kWidth, template <int> typename Places>
KEEL_INLINE void Shuffle(const typename Vector<kWidth>::U32& a,
                         const typename Vector<kWidth>::U32& b, typename Vector<kWidth>::U32* out) {
  ShuffleTo<Places<kWidth>>(a, b, out, std::make_integer_sequence<int, kWidth>());
}

// Rows become columns.
template <int kWidth>
KEEL_INLINE void Transpose(typename Vector<kWidth>::U32 (&x)[kWidth]) {
  using U32 = typename Vector<kWidth>::U32;
  U32 y[kWidth];
#pragma GCC unroll 4
  for (int g = 0; g < kWidth; g += 4) {
    U32 low0, high0, low1, high1;
    Shuffle<kWidth, LowWords>(x[g], x[g + 1], &low0);
    Shuffle<kWidth, HighWords>(x[g], x[g + 1], &high0);
    Shuffle<kWidth, LowWords>(x[g + 2], x[g + 3], &low1);
    Shuffle<kWidth, HighWords>(x[g + 2], x[g + 3], &high1);
    Shuffle<kWidth, LowPairs>(low0, low1, &y[g]);
    Shuffle<kWidth, HighPairs>(low0, low1, &y[g + 1]);
    Shuffle<kWidth, LowPairs>(high0, high1, &y[g + 2]);
    Shuffle<kWidth, HighPairs>(high0, high1, &y[g + 3]);
  }
  // Part p of y[g + c] holds column 4 p + c of the rows from g on.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    if constexpr (kWidth == 4) x[c] = y[c];
    if constexpr (kWidth == 8) {
      Shuffle<kWidth, EvenFours>(y[c], y[4 + c], &x[c]);
      Shuffle<kWidth, OddFours>(y[c], y[4 + c], &x[4 + c]);
    }
    if constexpr (kWidth == 16) {
      U32 even0, odd0, even1, odd1;
      Shuffle<kWidth, EvenFours>(y[c], y[4 + c], &even0);
      Shuffle<kWidth, OddFours>(y[c], y[4 + c], &odd0);
      Shuffle<kWidth, EvenFours>(y[8 + c], y[12 + c], &even1);
      Shuffle<kWidth, OddFours>(y[8 + c], y[12 + c], &odd1);
      Shuffle<kWidth, EvenFours>(even0, even1, &x[c]);
      Shuffle<kWidth, EvenFours>(odd0, odd1, &x[4 + c]);
      Shuffle<kWidth, OddFours>(even0, even1, &x[8 + c]);
      Shuffle<kWidth, OddFours>(odd0, odd1, &x[12 + c]);
    }
  }
}

// A register of a row's elements from `first` on: bf16 as pairs, else as fp32; 0 past the row's end.
template <int kWidth, typename T>
KEEL_INLINE void LoadWords(const typename T::Storage* row, int64_t first, int64_t size,
                           typename Vector<kWidth>::U32* out) {
  constexpr int64_t kElements = std::is_same_v<T, BF16> ? 2 * kWidth : kWidth;
  typename T::Storage tail[kElements];
  const typename T::Storage* p = row + first;
  if (size - first < kElements) {
    std::memset(tail, 0, sizeof(tail));
    if (size > first) std::memcpy(tail, p, (size - first) * sizeof(*p));
    p = tail;
  }
  if constexpr (std::is_same_v<T, F16>) {
    typename Vector<kWidth>::F32 x;
    Convert<kWidth>::WidenF16(p, &x);
    std::memcpy(out, &x, sizeof(x));
  } else {
    std::memcpy(out, p, sizeof(*out));
  }
}

// Begins to read rows that lie here and there, which no prefetcher of the CPU foresees. Into the
// second-level cache: the first has too few reads under way to keep up with memory.
template <typename Storage>
KEEL_INLINE void PrefetchRows(const Storage* const* rows, int64_t begin, int64_t end,
                              int64_t size) {
  for (int64_t row = begin; row < end; ++row) {
    const char* p = reinterpret_cast<const char*>(rows[row]);
    for (int64_t i = 0; i < size * static_cast<int64_t>(sizeof(Storage)); i += 64)
      __builtin_prefetch(p + i, 0, 2);
  }
}

// Words of a row of keys that are packed at a time.
template <int kWidth, typename T, bool kDot>
constexpr int64_t kKeyWords = std::is_same_v<T, BF16> && !kDot ? 2 * kWidth : kWidth;

// Those from `first` on, at most kKeyWords, of rows [kPanel] of `size` elements -> [words][kPanel]. Returns how many.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE int64_t PackKeyWords(const typename T::Storage* const* rows, int64_t size,
                                 int64_t first, uint32_t* out) {
  using U32 = typename Vector<kWidth>::U32;
  constexpr bool kIsPairs = std::is_same_v<T, BF16>;
  const int64_t count = std::min(kKeyWords<kWidth, T, kDot>, WordsOf<kDot>(size) - first);
  const int64_t element = kDot ? 2 * first : first;
#pragma GCC unroll 2
  for (int64_t half = 0; half < 2; ++half) {
    U32 x[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i)
      LoadWords<kWidth, T>(rows[half * kWidth + i], element, size, &x[i]);
    Transpose<kWidth>(x);
    uint32_t* to = out + half * kWidth;
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      if constexpr (kIsPairs && !kDot) {
        if (2 * i >= count) break;
        const U32 even = x[i] << 16, odd = x[i] & 0xffff0000u;
        std::memcpy(to + 2 * i * kPanel<kWidth>, &even, sizeof(even));
        std::memcpy(to + (2 * i + 1) * kPanel<kWidth>, &odd, sizeof(odd));
      } else {
        if (i >= count) break;
        std::memcpy(to + i * kPanel<kWidth>, &x[i], sizeof(x[i]));
      }
    }
  }
  return count;
}

// A register of values, all there, as fp32.
template <int kWidth, typename T>
KEEL_INLINE void LoadValues(const typename T::Storage* p, typename Vector<kWidth>::F32* out) {
  if constexpr (std::is_same_v<T, BF16>) Convert<kWidth>::WidenBF16(p, out);
  if constexpr (std::is_same_v<T, F16>) Convert<kWidth>::WidenF16(p, out);
  if constexpr (std::is_same_v<T, F32>) std::memcpy(out, p, sizeof(*out));
}

// Columns [column, column + kPanel) of rows [kPanel] of `size` elements -> [kPanel][kPanel]. Those past the end are 0.
template <int kWidth, typename T>
KEEL_INLINE void PackValues(const typename T::Storage* const* rows, int64_t size, int64_t column,
                            uint32_t* out) {
  using Storage = typename T::Storage;
  const int64_t count = std::min(kPanel<kWidth>, size - column);
  for (int64_t row = 0; row < kPanel<kWidth>; ++row, out += kPanel<kWidth>) {
    const Storage* p = rows[row] + column;
    Storage tail[kPanel<kWidth>] = {};
    if (count < kPanel<kWidth>) {
      std::memcpy(tail, p, count * sizeof(*p));
      p = tail;
    }
    typename Vector<kWidth>::F32 low, high;
    LoadValues<kWidth, T>(p, &low);
    LoadValues<kWidth, T>(p + kWidth, &high);
    std::memcpy(out, &low, sizeof(low));
    std::memcpy(out + kWidth, &high, sizeof(high));
  }
}

// The same of bf16 as pairs of rows, [kPanel / 2][kPanel], for the widest registers.
KEEL_INLINE void PackValuePairs(const uint16_t* const* rows, int64_t size, int64_t column,
                                uint32_t* out) {
  typedef uint16_t U16x32 __attribute__((vector_size(64)));
  constexpr int64_t kColumns = kPanel<16>;
  const int64_t bytes = std::min(kColumns, size - column) * 2;
  for (int64_t row = 0; row < kColumns; row += 2, out += kColumns) {
    U16x32 a = {}, b = {};
    if (bytes == sizeof(a)) {
      std::memcpy(&a, rows[row] + column, sizeof(a));
      std::memcpy(&b, rows[row + 1] + column, sizeof(b));
    } else {
      std::memcpy(&a, rows[row] + column, bytes);
      std::memcpy(&b, rows[row + 1] + column, bytes);
    }
    const U16x32 low =
        __builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40,
                                9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47);
    const U16x32 high =
        __builtin_shufflevector(a, b, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23,
                                55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63);
    std::memcpy(out, &low, sizeof(low));
    std::memcpy(out + 16, &high, sizeof(high));
  }
}

template <int kWidth, typename T, bool kDot>
KEEL_INLINE void PackValuesOf(const typename T::Storage* const* rows, int64_t size, int64_t column,
                              uint32_t* out) {
  if constexpr (kDot) {
    PackValuePairs(rows, size, column, out);
  } else {
    PackValues<kWidth, T>(rows, size, column, out);
  }
}

// A row of `size` elements as the left side of a product, [WordsOf(size)].
template <typename T, bool kDot>
KEEL_INLINE void PackQuery(const typename T::Storage* row, int64_t size, uint32_t* out) {
  out[WordsOf<kDot>(size) - 1] = 0;
  if constexpr (kDot) {
    std::memcpy(out, row, size * sizeof(*row));
  } else {
    for (int64_t i = 0; i < size; ++i) {
      const float x = T::Load(row + i);
      std::memcpy(out + i, &x, sizeof(x));
    }
  }
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_PACK_H_
