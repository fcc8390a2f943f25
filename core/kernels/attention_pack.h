// Keys and values of the cache in the panels that attention_tile.h multiplies by.
#ifndef KEEL_CORE_KERNELS_ATTENTION_PACK_H_
#define KEEL_CORE_KERNELS_ATTENTION_PACK_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/kernels/attention_tile.h"
#include "core/kernels/kv_codes.h"
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

// Whether a cache of T has scales.
template <typename T>
constexpr bool kIsCode = std::is_same_v<T, Fp8> || std::is_same_v<T, Int8>;

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
  } else if constexpr (kIsCode<T>) {
    typename Vector<kWidth>::F32 x;
    ConvertCodes<kWidth>::Widen(p, &x);
    std::memcpy(out, &x, sizeof(x));
  } else {
    std::memcpy(out, p, sizeof(*out));
  }
}

#if defined(__x86_64__)
// Sixteen rows of 64 bytes, as columns of words: 16 bytes at a time are put together as they are loaded, which leaves the
// port of shuffles half as much to do as loading whole rows does.
KEEL_INLINE void LoadColumns(const char* const (&rows)[16], Vector<16>::U32 (&x)[16]) {
  typedef int Ints __attribute__((vector_size(64)));
  typedef int Quarter __attribute__((vector_size(16)));
#pragma GCC unroll 4
  for (int part = 0; part < 4; ++part) {
    Vector<16>::U32 y[4];  // y[r] holds rows r, r + 4, r + 8, r + 12
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const auto load = [&](int row) {
        Quarter quarter;
        std::memcpy(&quarter, rows[row] + 16 * part, sizeof(quarter));
        return quarter;
      };
      Ints of_rows = {};
      of_rows = __builtin_ia32_inserti32x4_mask(of_rows, load(r), 0, Ints{}, -1);
      of_rows = __builtin_ia32_inserti32x4_mask(of_rows, load(r + 4), 1, Ints{}, -1);
      of_rows = __builtin_ia32_inserti32x4_mask(of_rows, load(r + 8), 2, Ints{}, -1);
      of_rows = __builtin_ia32_inserti32x4_mask(of_rows, load(r + 12), 3, Ints{}, -1);
      y[r] = reinterpret_cast<Vector<16>::U32>(of_rows);
    }
    Vector<16>::U32 low0, high0, low1, high1;
    Shuffle<16, LowWords>(y[0], y[1], &low0);
    Shuffle<16, HighWords>(y[0], y[1], &high0);
    Shuffle<16, LowWords>(y[2], y[3], &low1);
    Shuffle<16, HighWords>(y[2], y[3], &high1);
    Shuffle<16, LowPairs>(low0, low1, &x[4 * part]);
    Shuffle<16, HighPairs>(low0, low1, &x[4 * part + 1]);
    Shuffle<16, LowPairs>(high0, high1, &x[4 * part + 2]);
    Shuffle<16, HighPairs>(high0, high1, &x[4 * part + 3]);
  }
}
#endif

// A register of each of kWidth rows, as LoadWords gives it, as columns.
template <int kWidth, typename T>
KEEL_INLINE void LoadColumnsOf(const typename T::Storage* const* rows, int64_t first, int64_t size,
                               typename Vector<kWidth>::U32 (&x)[kWidth]) {
#if defined(__x86_64__)
  if constexpr (kWidth == 16 && (std::is_same_v<T, BF16> || std::is_same_v<T, F32>)) {
    constexpr int64_t kElements = 64 / sizeof(typename T::Storage);
    if (size - first >= kElements) {
      const char* pieces[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) pieces[i] = reinterpret_cast<const char*>(rows[i] + first);
      return LoadColumns(pieces, x);
    }
  }
#endif
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) LoadWords<kWidth, T>(rows[i], first, size, &x[i]);
  Transpose<kWidth>(x);
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

// Those of [first, words), at most kKeyWords, of rows [kPanel] of `size` elements -> [words][kPanel]; 0 past a row's end.
// Returns how many.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE int64_t PackKeyWords(const typename T::Storage* const* rows, int64_t size,
                                 int64_t first, int64_t words, uint32_t* out) {
  using U32 = typename Vector<kWidth>::U32;
  constexpr bool kIsPairs = std::is_same_v<T, BF16>;
  const int64_t count = std::min(kKeyWords<kWidth, T, kDot>, words - first);
  const int64_t element = kDot ? 2 * first : first;
#pragma GCC unroll 2
  for (int64_t half = 0; half < 2; ++half) {
    U32 x[kWidth];
    LoadColumnsOf<kWidth, T>(rows + half * kWidth, element, size, x);
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
  if constexpr (kIsCode<T>) ConvertCodes<kWidth>::Widen(p, out);
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

// The same of bf16 as pairs of rows, [kPanel / 2][kPanel], for the widest registers. Columns are in the order of
// RestoreColumns: one shuffle then, where their own takes several.
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
        __builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 8, 40, 9, 41, 10, 42, 11, 43, 16,
                                48, 17, 49, 18, 50, 19, 51, 24, 56, 25, 57, 26, 58, 27, 59);
    const U16x32 high =
        __builtin_shufflevector(a, b, 4, 36, 5, 37, 6, 38, 7, 39, 12, 44, 13, 45, 14, 46, 15, 47,
                                20, 52, 21, 53, 22, 54, 23, 55, 28, 60, 29, 61, 30, 62, 31, 63);
    std::memcpy(out, &low, sizeof(low));
    std::memcpy(out + 16, &high, sizeof(high));
  }
}

// Sums over PackValuePairs' columns in their own order: the first register of each panel has fours 0, 2, 4, 6 of it.
KEEL_INLINE void RestoreColumns(int64_t columns, float* sums) {
  typedef double Halves __attribute__((vector_size(64)));
  for (int64_t i = 0; i < columns; i += kPanel<16>) {
    Halves a, b;
    std::memcpy(&a, sums + i, sizeof(a));
    std::memcpy(&b, sums + i + 16, sizeof(b));
    const Halves first = __builtin_shufflevector(a, b, 0, 1, 8, 9, 2, 3, 10, 11);
    const Halves second = __builtin_shufflevector(a, b, 4, 5, 12, 13, 6, 7, 14, 15);
    std::memcpy(sums + i, &first, sizeof(first));
    std::memcpy(sums + i + 16, &second, sizeof(second));
  }
}

#if defined(__x86_64__)
// A row of codes as bf16, which all of them are exactly, with zeros up to a multiple of 64 elements. A code without its
// sign looks up the number's two bytes. For CPUs with AVX-512 VBMI.
template <typename Code>
KEEL_INLINE void ExpandRow(const typename Code::Storage* row, int64_t size, uint16_t* out) {
  typedef char Bytes __attribute__((vector_size(64)));
  typedef int64_t Words __attribute__((vector_size(64)));
  Bytes low[2], high[2];
  std::memcpy(low, kBytesOfCodes<Code>.low, sizeof(low));
  std::memcpy(high, kBytesOfCodes<Code>.high, sizeof(high));
  for (int64_t i = 0; i < size; i += 64, out += 64) {
    Bytes codes = {};
    if (size - i >= 64) {
      std::memcpy(&codes, row + i, sizeof(codes));
    } else {
      std::memcpy(&codes, row + i, size - i);
    }
    // Interleaving takes the lower halves of 16 bytes, then the upper ones.
    const Words halves = reinterpret_cast<Words>(codes);
    codes =
        reinterpret_cast<Bytes>(__builtin_shufflevector(halves, halves, 0, 4, 1, 5, 2, 6, 3, 7));
    Bytes places = codes;  // of which 7 bits are used
    if constexpr (std::is_same_v<Code, Int8>)
      places = __builtin_ia32_pabsb512_mask(codes, Bytes{}, ~uint64_t{0});
    const Bytes lower = __builtin_ia32_vpermt2varqi512_mask(places, low[0], low[1], ~uint64_t{0});
    const Bytes upper =
        __builtin_ia32_vpermt2varqi512_mask(places, high[0], high[1], ~uint64_t{0}) |
        (codes & static_cast<char>(0x80));
    const Bytes first = __builtin_ia32_punpcklbw512_mask(lower, upper, Bytes{}, ~uint64_t{0});
    const Bytes second = __builtin_ia32_punpckhbw512_mask(lower, upper, Bytes{}, ~uint64_t{0});
    std::memcpy(out, &first, sizeof(first));
    std::memcpy(out + 32, &second, sizeof(second));
  }
}
#endif

template <int kWidth, typename T, bool kDot>
KEEL_INLINE void PackValuesOf(const typename T::Storage* const* rows, int64_t size, int64_t column,
                              uint32_t* out) {
  if constexpr (kDot) {
    PackValuePairs(rows, size, column, out);
  } else {
    PackValues<kWidth, T>(rows, size, column, out);
  }
}

// A row of `size` elements as the left side of a product, [words], filled up by zeros.
template <typename T, bool kDot>
KEEL_INLINE void PackQuery(const typename T::Storage* row, int64_t size, int64_t words,
                           uint32_t* out) {
  std::fill(out + size / (kDot ? 2 : 1), out + words, 0u);
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
