// The arithmetic of one tile of attention, rows of queries against a few keys: a product of small
// matrices, a softmax of a row, and how partial results add up. Written over lanes.h; no types of the
// cache are known here.
//
// Products take their right side in panels of kPanel<kWidth> columns, [columns / kPanel][k][kPanel], and
// both sides in words of 32 bits: an fp32 number, or (kDot) two bf16 numbers that follow each other
// along k, for the CPU's dot products of pairs.
#ifndef KEEL_CORE_KERNELS_ATTENTION_TILE_H_
#define KEEL_CORE_KERNELS_ATTENTION_TILE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/kernels/lanes.h"

namespace keel::lanes {

// Two registers.
template <int kWidth>
constexpr int64_t kPanel = 2 * kWidth;

template <int kWidth>
constexpr int64_t PanelsOf(int64_t columns) {
  return (columns + kPanel<kWidth> - 1) / kPanel<kWidth>;
}

// Rows of a product that are taken at once: as many as the registers hold.
template <int kWidth>
constexpr int64_t kProductRows = kWidth == 16  ? 12
                                 : kWidth == 8 ? 6
                                               : 4;

constexpr float kNoScore = -std::numeric_limits<float>::infinity();

// acc += a * b, or of the pairs in them.
template <int kWidth, bool kDot>
KEEL_INLINE void MultiplyAdd(uint32_t a, const typename Vector<kWidth>::F32& b,
                             typename Vector<kWidth>::F32* acc) {
  if constexpr (kDot) {
#if defined(__x86_64__)
    static_assert(kWidth == 16);
#if __GNUC__ >= 13
    typedef __bf16 Pairs __attribute__((vector_size(64)));
#else
    typedef short Pairs __attribute__((vector_size(64)));
#endif
    const Vector<16>::U32 spread = Vector<16>::U32{} + a;
    *acc = __builtin_ia32_dpbf16ps_v16sf(*acc, reinterpret_cast<Pairs>(b),
                                         reinterpret_cast<Pairs>(spread));
#endif
  } else {
    float x;
    std::memcpy(&x, &a, sizeof(x));
    *acc += b * x;
  }
}

// c [kRows, kPanels * kPanel] = a [kRows, k] b, or (adds) += it; panels of b are `b_stride` words apart. Every element is
// one chain of additions along k, so its bits depend neither on kRows nor on the parts that k is taken in.
template <int kWidth, bool kDot, int kRows, int kPanels>
KEEL_INLINE void ProductOfPanels(const uint32_t* a, int64_t a_stride, const uint32_t* b,
                                 int64_t b_stride, int64_t k, bool adds, float* c,
                                 int64_t c_stride) {
  using F32 = typename Vector<kWidth>::F32;
  constexpr int kRegisters = 2 * kPanels;  // of a row
  F32 sums[kRows][kRegisters] = {};
  if (adds) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < kRegisters; ++j)
        std::memcpy(&sums[r][j], c + r * c_stride + j * kWidth, sizeof(F32));
    }
  }
  for (int64_t i = 0; i < k; ++i) {
    F32 column[kRegisters];
#pragma GCC unroll 4
    for (int j = 0; j < kRegisters; ++j)
      std::memcpy(&column[j], b + j / 2 * b_stride + (2 * i + j % 2) * kWidth, sizeof(F32));
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      uint32_t word;
      std::memcpy(&word, a + r * a_stride + i, sizeof(word));  // weights were written as fp32
#pragma GCC unroll 4
      for (int j = 0; j < kRegisters; ++j) MultiplyAdd<kWidth, kDot>(word, column[j], &sums[r][j]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kRegisters; ++j)
      std::memcpy(c + r * c_stride + j * kWidth, &sums[r][j], sizeof(F32));
  }
}

// Of `rows` <= kProductRows; by two panels where one gives too few chains to keep the CPU busy.
template <int kWidth, bool kDot, int kRows = kProductRows<kWidth>>
KEEL_INLINE void ProductOfRows(const uint32_t* a, int64_t a_stride, int64_t rows, const uint32_t* b,
                               int64_t b_stride, int64_t panels, int64_t k, bool adds, float* c,
                               int64_t c_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return ProductOfRows<kWidth, kDot, kRows - 1>(a, a_stride, rows, b, b_stride, panels, k, adds,
                                                    c, c_stride);
    }
  }
  int64_t panel = 0;
  if constexpr (kRows <= 2) {
    for (; panel + 2 <= panels; panel += 2) {
      ProductOfPanels<kWidth, kDot, kRows, 2>(a, a_stride, b + panel * b_stride, b_stride, k, adds,
                                              c + panel * kPanel<kWidth>, c_stride);
    }
  }
  for (; panel < panels; ++panel) {
    ProductOfPanels<kWidth, kDot, kRows, 1>(a, a_stride, b + panel * b_stride, b_stride, k, adds,
                                            c + panel * kPanel<kWidth>, c_stride);
  }
}

// c [rows, panels * kPanel] = a [rows, k] b, or (adds) += it.
template <int kWidth, bool kDot>
KEEL_INLINE void Product(const uint32_t* a, int64_t a_stride, int64_t rows, const uint32_t* b,
                         int64_t b_stride, int64_t panels, int64_t k, bool adds, float* c,
                         int64_t c_stride) {
  // Parts of like size: seven rows as four and three, not as six and one.
  const int64_t parts = (rows + kProductRows<kWidth> - 1) / kProductRows<kWidth>;
  for (int64_t part = 0, row = 0; part < parts; ++part) {
    const int64_t end = rows * (part + 1) / parts;
    ProductOfRows<kWidth, kDot>(a + row * a_stride, a_stride, end - row, b, b_stride, panels, k,
                                adds, c + row * c_stride, c_stride);
    row = end;
  }
}

// 2^x within 1e-7 of itself for x <= 127; 0 below -126. NaN stays.
template <int kWidth>
KEEL_INLINE void Exp2(const typename Vector<kWidth>::F32& x, typename Vector<kWidth>::F32* out) {
  using F32 = typename Vector<kWidth>::F32;
  using U32 = typename Vector<kWidth>::U32;
  constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const F32 least = F32{} - 126.0f;
  const F32 clamped = least > x ? least : x;
  const F32 shifted = clamped + kToInteger;
  const F32 f = clamped - (shifted - kToInteger);  // in [-0.5, 0.5]
  F32 p = f * 1.326472667968072e-3f + 9.671512677604849e-3f;
  p = p * f + 5.550733744976942e-2f;
  p = p * f + 2.4022242084547987e-1f;
  p = p * f + 6.931469775979586e-1f;
  p = p * f + 1.0f;
  const U32 bits = reinterpret_cast<U32>(p) + (reinterpret_cast<U32>(shifted) << 23);
  *out = reinterpret_cast<F32>(bits & ~reinterpret_cast<U32>(x < least));
}

template <int kWidth>
KEEL_INLINE float MaxOfRegister(const typename Vector<kWidth>::F32& x) {
  if constexpr (kWidth == 4) {
    return std::max(std::max(x[0], x[2]), std::max(x[1], x[3]));
  } else {
    typename Vector<kWidth / 2>::F32 low, high;
    std::memcpy(&low, &x, sizeof(low));
    std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof(low), sizeof(high));
    low = low > high ? low : high;
    return MaxOfRegister<kWidth / 2>(low);
  }
}

// What becomes of a product before its softmax. Scores are logarithms to the base 2 from here on.
struct ScoreRule {
  float scale;    // with the base's change
  float softcap;  // 0: none
  float slope;    // of the row's head, with the base's change
  int64_t first_key;
  bool is_plain;  // only scale
};

// softcap * tanh(x * scale / softcap) + slope * key, all to the base 2.
template <int kWidth>
KEEL_INLINE void ApplyRule(const ScoreRule& rule, float* s, int64_t columns) {
  using F32 = typename Vector<kWidth>::F32;
  const float log2e = 1.44269504f;
  F32 key;
  for (int i = 0; i < kWidth; ++i) key[i] = static_cast<float>(rule.first_key + i);
  for (int64_t j = 0; j < columns; j += kWidth) {
    F32 x, e;
    std::memcpy(&x, s + j, sizeof(x));
    x *= rule.scale;
    if (rule.softcap > 0) {
      // tanh(y) = 1 - 2 / (1 + e^2y); beyond 2^60 it is 1.
      const F32 limit = F32{} + 60.0f;
      x *= 2.0f / rule.softcap;
      x = x > limit ? limit : x;
      Exp2<kWidth>(x, &e);
      x = (1.0f - 2.0f / (1.0f + e)) * (rule.softcap * log2e);
    }
    x += key * rule.slope;
    key += static_cast<float>(kWidth);
    std::memcpy(s + j, &x, sizeof(x));
  }
}

template <int kWidth, bool kDot>
KEEL_INLINE void StoreWeights(const typename Vector<kWidth>::F32& p, float* out, int64_t j) {
  if constexpr (kDot) {
#if defined(__x86_64__)
    const auto rounded = __builtin_ia32_cvtneps2bf16_v16sf(p);
    std::memcpy(reinterpret_cast<char*>(out) + 2 * j, &rounded, sizeof(rounded));
#endif
  } else {
    std::memcpy(out + j, &p, sizeof(p));
  }
}

// What keys and values that are codes are multiplied by, one a key; null: they are numbers.
struct CodeScales {
  const float* keys = nullptr;
  const float* values = nullptr;
};

template <int kWidth>
KEEL_INLINE void MultiplyBy(const float* factors, int64_t columns, float* s) {
  for (int64_t j = 0; j < columns; j += kWidth) {
    typename Vector<kWidth>::F32 x, factor;
    std::memcpy(&x, s + j, sizeof(x));
    std::memcpy(&factor, factors + j, sizeof(factor));
    x *= factor;
    std::memcpy(s + j, &x, sizeof(x));
  }
}

// 2^(score - max) of `columns` scores, times the scales of their values: over the scores, fp32 or (kDot) bf16. Returns
// their sum without those scales.
template <int kWidth, bool kDot, bool kScaled>
KEEL_INLINE float WeightsOfRow(float scale, float max, const float* value_scales, int64_t columns,
                               float* s) {
  using F32 = typename Vector<kWidth>::F32;
  F32 sum0 = {}, sum1 = {};
  for (int64_t j = 0; j < columns; j += 2 * kWidth) {
    F32 x, y;
    std::memcpy(&x, s + j, sizeof(x));
    std::memcpy(&y, s + j + kWidth, sizeof(y));
    Exp2<kWidth>(x * scale - max, &x);
    Exp2<kWidth>(y * scale - max, &y);
    sum0 += x;
    sum1 += y;
    if constexpr (kScaled) {
      F32 factor;
      std::memcpy(&factor, value_scales + j, sizeof(factor));
      x *= factor;
      std::memcpy(&factor, value_scales + j + kWidth, sizeof(factor));
      y *= factor;
    }
    StoreWeights<kWidth, kDot>(x, s, j);
    StoreWeights<kWidth, kDot>(y, s, j + kWidth);
  }
  return SumOfRegister<kWidth>(sum0 + sum1);
}

// The weights of one row over `columns` (whole panels), of which it sees [begin, end), written over the scores, and
// their sum.
template <int kWidth, bool kDot>
KEEL_INLINE void SoftmaxOfRow(const ScoreRule& rule, int64_t columns, int64_t begin, int64_t end,
                              const CodeScales& scales, float* s, float* max_out, float* sum_out) {
  using F32 = typename Vector<kWidth>::F32;
  if (begin >= end) {
    std::fill(s, s + columns, 0.0f);
    *max_out = kNoScore, *sum_out = 0;
    return;
  }
  float scale = rule.scale;
  if (scales.keys != nullptr) MultiplyBy<kWidth>(scales.keys, columns, s);
  if (!rule.is_plain) {
    ApplyRule<kWidth>(rule, s, columns);
    scale = 1;
  }
  std::fill(s, s + begin, kNoScore);
  std::fill(s + end, s + columns, kNoScore);
  F32 max0 = F32{} + kNoScore, max1 = max0;
  for (int64_t j = 0; j < columns; j += 2 * kWidth) {
    F32 x, y;
    std::memcpy(&x, s + j, sizeof(x));
    std::memcpy(&y, s + j + kWidth, sizeof(y));
    max0 = x > max0 ? x : max0;
    max1 = y > max1 ? y : max1;
  }
  max0 = max0 > max1 ? max0 : max1;
  float max = MaxOfRegister<kWidth>(max0) * scale;
  // NaNs are no maximum. Where there is nothing else, they must not pass for keys that are not seen.
  if (max == kNoScore && std::any_of(s + begin, s + end, [](float x) { return x != x; }))
    max = std::numeric_limits<float>::quiet_NaN();
  *max_out = max;
  *sum_out = scales.values == nullptr
                 ? WeightsOfRow<kWidth, kDot, false>(scale, max, nullptr, columns, s)
                 : WeightsOfRow<kWidth, kDot, true>(scale, max, scales.values, columns, s);
}

// A row's softmax so far: sums are relative to 2^max.
struct Running {
  float max, sum;
};

// running, out [size] += what one tile gave.
template <int kWidth>
KEEL_INLINE void Fold(const Running& tile, const float* values, int64_t size, Running* running,
                      float* out) {
  if (tile.max == kNoScore) return;
  const float max = std::max(running->max, tile.max);
  const float old_factor = std::exp2(running->max - max), factor = std::exp2(tile.max - max);
  running->sum = running->sum * old_factor + tile.sum * factor;
  running->max = max;
  int64_t i = 0;
  for (; i + kWidth <= size; i += kWidth) {
    typename Vector<kWidth>::F32 x, y;
    std::memcpy(&x, out + i, sizeof(x));
    std::memcpy(&y, values + i, sizeof(y));
    x = x * old_factor + y * factor;
    std::memcpy(out + i, &x, sizeof(x));
  }
  for (; i < size; ++i) out[i] = out[i] * old_factor + values[i] * factor;
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_TILE_H_
