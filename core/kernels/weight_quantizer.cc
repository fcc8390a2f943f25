#include "core/kernels/weight_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {
namespace {

template <int kWidth>
using Lanes = typename lanes::Vector<kWidth>::F32;

template <int kWidth>
KEEL_INLINE void Load(const float* p, Lanes<kWidth>* x) {
  std::memcpy(x, p, sizeof(*x));
}

template <int kWidth>
KEEL_INLINE float Sum(const Lanes<kWidth>& x) {
  return lanes::SumOfRegister<kWidth>(x);
}

// The weight that is farthest from zero, with its sign.
float Farthest(const float* w, int64_t count) {
  const auto [least, greatest] = std::minmax_element(w, w + count);
  return -*least > *greatest ? *least : *greatest;
}

bool AreFinite(const float* w, int64_t count) {
  return std::all_of(w, w + count, [](float x) { return std::isfinite(x); });
}

_Float16 ToScale(float x) {
  constexpr float kMax = 65504;
  return static_cast<_Float16>(std::clamp(x, -kMax, kMax));
}

// ---- 8 bits

// Rounds by adding a number whose last place is 1: to nearest even, up to 2^22.
constexpr float kRounder = 12582912.0f;

template <int kWidth>
KEEL_INLINE void Round(const float* w, float inverse, Lanes<kWidth>* q) {
  Lanes<kWidth> x;
  Load<kWidth>(w, &x);
  x = (x * inverse + kRounder) - kRounder;
  x = x > 127.0f ? Lanes<kWidth>{} + 127.0f : x;
  *q = x < -128.0f ? Lanes<kWidth>{} - 128.0f : x;
}

template <int kWidth>
KEEL_INLINE float SquaredError(const float* w, int64_t count, float scale) {
  const float inverse = 1.0f / scale;
  Lanes<kWidth> sum = {};
  for (int64_t i = 0; i < count; i += kWidth) {
    Lanes<kWidth> q, x;
    Round<kWidth>(w + i, inverse, &q);
    Load<kWidth>(w + i, &x);
    x -= q * scale;
    sum += x * x;
  }
  return Sum<kWidth>(sum);
}

template <int kWidth>
KEEL_INLINE _Float16 Int8Group(const float* w, int64_t count, uint8_t* codes) {
  const float farthest = Farthest(w, count);
  _Float16 best = 0;
  float best_error = std::numeric_limits<float>::infinity();
  // The farthest weight is 128 steps away on the side that has so many, or 127 on either.
  for (const float steps : {-128.0f, 127.0f}) {
    const _Float16 scale = ToScale(farthest / steps);
    if (scale == 0) continue;
    const float error = SquaredError<kWidth>(w, count, static_cast<float>(scale));
    if (error < best_error) best = scale, best_error = error;
  }
  const float inverse = best == 0 ? 0.0f : 1.0f / static_cast<float>(best);
  for (int64_t i = 0; i < count; i += kWidth) {
    Lanes<kWidth> q;
    Round<kWidth>(w + i, inverse, &q);
    for (int j = 0; j < kWidth; ++j)
      codes[i + j] = static_cast<uint8_t>(static_cast<int>(q[j]) + 128);
  }
  return best;
}

// ---- 4 bits

struct Codebook {
  float levels[16];      // zero taken off
  float boundaries[15];  // halfway from each to the next
};

// The nearest levels of w * inverse.
template <int kWidth>
KEEL_INLINE void Nearest(const Codebook& book, const Lanes<kWidth>& x, Lanes<kWidth>* level) {
  *level = Lanes<kWidth>{} + book.levels[0];
  for (int i = 0; i < 15; ++i) {
    *level = x > book.boundaries[i] ? Lanes<kWidth>{} + book.levels[i + 1] : *level;
  }
}

template <int kWidth>
KEEL_INLINE _Float16 Int4Group(const float* w, int64_t count, const Codebook& book,
                               uint8_t* codes) {
  const float farthest = Farthest(w, count);
  // With levels l chosen, sum(w l) / sum(l l) is the scale of the least error, sum(w w) - sum(w l)^2 / sum(l l).
  float best = 0, best_gain = 0;
  for (const float end : {book.levels[0], book.levels[15]}) {
    for (const float reach : {0.95f, 1.05f}) {
      const float inverse = farthest == 0 ? 0.0f : end / (farthest * reach);
      Lanes<kWidth> squares = {}, products = {};
      for (int64_t i = 0; i < count; i += kWidth) {
        Lanes<kWidth> x, level;
        Load<kWidth>(w + i, &x);
        Nearest<kWidth>(book, x * inverse, &level);
        squares += level * level;
        products += x * level;
      }
      const float product = Sum<kWidth>(products), square = Sum<kWidth>(squares);
      const float gain = square > 0 ? product * (product / square) : 0.0f;
      if (gain > best_gain) best = product / square, best_gain = gain;
    }
  }
  const _Float16 scale = ToScale(best);
  const float inverse = scale == 0 ? 0.0f : 1.0f / static_cast<float>(scale);
  for (int64_t i = 0; i < count; i += kWidth) {
    Lanes<kWidth> x;
    Load<kWidth>(w + i, &x);
    x *= inverse;
    auto passed = x > book.boundaries[0];  // -1 where it is so
    for (int j = 1; j < 15; ++j) passed += x > book.boundaries[j];
    for (int j = 0; j < kWidth; ++j) codes[i + j] = static_cast<uint8_t>(-passed[j]);
  }
  return scale;
}

#if defined(__x86_64__)
KEEL_TARGET_AVX2 _Float16 Int8GroupAvx2(const float* w, int64_t count, uint8_t* codes) {
  return Int8Group<8>(w, count, codes);
}
KEEL_TARGET_AVX2 _Float16 Int4GroupAvx2(const float* w, int64_t count, const Codebook& book,
                                        uint8_t* codes) {
  return Int4Group<8>(w, count, book, codes);
}
#endif

}  // namespace

_Float16 QuantizeInt8Group(const float* w, int64_t count, uint8_t* codes) {
  if (!AreFinite(w, count)) {
    std::fill_n(codes, count, uint8_t{128});
    return static_cast<_Float16>(std::numeric_limits<float>::quiet_NaN());
  }
#if defined(__x86_64__)
  if (Cpu().avx2) return Int8GroupAvx2(w, count, codes);
#endif
  return Int8Group<4>(w, count, codes);
}

_Float16 QuantizeInt4Group(const float* w, int64_t count, const uint8_t levels[16], int zero,
                           uint8_t* codes) {
  if (!AreFinite(w, count)) {
    std::fill_n(codes, count, uint8_t{0});
    return static_cast<_Float16>(std::numeric_limits<float>::quiet_NaN());
  }
  Codebook book;
  for (int i = 0; i < 16; ++i) book.levels[i] = static_cast<float>(levels[i] - zero);
  for (int i = 0; i < 15; ++i) book.boundaries[i] = (book.levels[i] + book.levels[i + 1]) / 2;
#if defined(__x86_64__)
  if (Cpu().avx2) return Int4GroupAvx2(w, count, book, codes);
#endif
  return Int4Group<4>(w, count, book, codes);
}

}  // namespace keel
