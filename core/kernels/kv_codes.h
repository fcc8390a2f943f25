// 8-bit codes of a KV cache: what a row becomes in them, and they in registers. As lanes.h, for kernels' .cc files only.
#ifndef KEEL_CORE_KERNELS_KV_CODES_H_
#define KEEL_CORE_KERNELS_KV_CODES_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/kernels/lanes.h"

namespace keel::lanes {

// e4m3fn: 4 bits of exponent, 3 of mantissa, no infinity. A register of them comes out as kUnit times what they say,
// which is what their bits are in fp16 and free of denormals in fp32: whoever multiplies by the scale divides by kUnit.
struct Fp8 {
  using Storage = uint8_t;
  static constexpr float kMax = 448, kUnit = 1.0f / 256;

  // |x| <= kMax, rounded to nearest even.
  static KEEL_INLINE uint8_t Store(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    const uint32_t sign = bits >> 24 & 0x80;
    float magnitude = std::fabs(x);
    if (magnitude < 0x1p-6f) {  // multiples of 2^-9: adding 2^14 rounds to one
      magnitude += 0x1p14f;
      std::memcpy(&bits, &magnitude, sizeof(bits));
      return static_cast<uint8_t>(sign | (bits & 0xf));
    }
    bits &= 0x7fffffff;
    bits = (bits + 0x7ffff + (bits >> 20 & 1)) >> 20;
    return static_cast<uint8_t>(sign | (bits - (120 << 3)));
  }
  static constexpr float Load(uint8_t code) {
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    float x = static_cast<float>(exponent > 0 ? 8 + mantissa : mantissa) / 512 * kUnit;
    for (int i = 1; i < exponent; ++i) x *= 2;
    return code < 128 ? x : -x;
  }
};

struct Int8 {
  using Storage = int8_t;
  static constexpr float kMax = 127, kUnit = 1;

  static KEEL_INLINE int8_t Store(float x) {
    constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const float shifted = x + kToInteger;
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    return static_cast<int8_t>(bits);
  }
  static constexpr float Load(int8_t code) { return code; }
};

// All codes of fp8, for where there is no instruction.
inline constexpr std::array<float, 256> kFp8Numbers = [] {
  std::array<float, 256> numbers = {};
  for (int code = 0; code < 256; ++code) numbers[code] = Fp8::Load(static_cast<uint8_t>(code));
  return numbers;
}();

// The bytes of the bf16 numbers that codes without a sign stand for.
template <typename Code>
struct BytesOfCodes {
  uint8_t low[128] = {}, high[128] = {};

  constexpr BytesOfCodes() {
    for (int code = 0; code < 128; ++code) {
      const float x = Code::Load(static_cast<typename Code::Storage>(code));
      low[code] = static_cast<uint8_t>(std::bit_cast<uint32_t>(x) >> 16);
      high[code] = static_cast<uint8_t>(std::bit_cast<uint32_t>(x) >> 24);
    }
  }
};
template <typename Code>
inline constexpr BytesOfCodes<Code> kBytesOfCodes;

// A register of codes as fp32.
template <int kWidth>
struct ConvertCodes;

template <>
struct ConvertCodes<4> {
  static KEEL_INLINE void Widen(const uint8_t* p, Vector<4>::F32* out) {
    for (int i = 0; i < 4; ++i) (*out)[i] = kFp8Numbers[p[i]];
  }
  static KEEL_INLINE void Widen(const int8_t* p, Vector<4>::F32* out) {
    for (int i = 0; i < 4; ++i) (*out)[i] = p[i];
  }
};

#if defined(__x86_64__)
// A code with its sign above it, moved to where fp16 has sign, exponent and mantissa.
template <>
struct ConvertCodes<8> {
  typedef char Bytes __attribute__((vector_size(16)));
  typedef short Shorts __attribute__((vector_size(16)));
  typedef int64_t Words __attribute__((vector_size(16)));
  // In one load: a part of a vector that is written in memory is slow to be read back.
  static KEEL_INLINE Bytes LoadEight(const void* p) {
    int64_t eight;
    std::memcpy(&eight, p, sizeof(eight));
    return reinterpret_cast<Bytes>(Words{eight, 0});
  }
  static KEEL_INLINE void Widen(const uint8_t* p, Vector<8>::F32* out) {
    const Shorts shorts = __builtin_ia32_pmovsxbw128(LoadEight(p)) << 7;
    *out = __builtin_ia32_vcvtph2ps256(shorts & static_cast<short>(0xbf80));
  }
  static KEEL_INLINE void Widen(const int8_t* p, Vector<8>::F32* out) {
    *out = __builtin_convertvector(__builtin_ia32_pmovsxbd256(LoadEight(p)), Vector<8>::F32);
  }
};

template <>
struct ConvertCodes<16> {
  typedef char Bytes __attribute__((vector_size(16)));
  typedef short Shorts __attribute__((vector_size(32)));
  typedef int Ints __attribute__((vector_size(64)));
  static constexpr int kCurrentRounding = 4;
  static KEEL_INLINE void Widen(const uint8_t* p, Vector<16>::F32* out) {
    Bytes bytes;
    std::memcpy(&bytes, p, sizeof(bytes));
    const Shorts shorts = __builtin_ia32_pmovsxbw256(bytes) << 7;
    *out = __builtin_ia32_vcvtph2ps512_mask(shorts & static_cast<short>(0xbf80), Vector<16>::F32{},
                                            -1, kCurrentRounding);
  }
  static KEEL_INLINE void Widen(const int8_t* p, Vector<16>::F32* out) {
    Bytes bytes;
    std::memcpy(&bytes, p, sizeof(bytes));
    const Ints ints = __builtin_ia32_pmovsxbd512_mask(bytes, Ints{}, -1);
    *out = __builtin_ia32_cvtdq2ps512_mask(ints, Vector<16>::F32{}, -1, kCurrentRounding);
  }
};
#endif

// The largest magnitude of a row; NaN if it has one.
template <int kWidth, typename T>
KEEL_INLINE float LargestOfRow(const typename T::Storage* x, int64_t size) {
  using U32 = typename Vector<kWidth>::U32;
  // Magnitudes of fp32 are in the order of their bits, NaNs above all others.
  U32 largest[kLanes / kWidth] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    F32x16<kWidth> v;
    T::LoadLanes(x + i, &v);
    KEEL_UNROLL
    for (int part = 0; part < static_cast<int>(kLanes) / kWidth; ++part) {
      const U32 bits = reinterpret_cast<U32>(v.part[part]) & 0x7fffffffu;
      largest[part] = bits > largest[part] ? bits : largest[part];
    }
  }
  uint32_t lanes[kLanes], all = 0;
  std::memcpy(lanes, largest, sizeof(lanes));
  for (const uint32_t lane : lanes) all = std::max(all, lane);
  for (; i < size; ++i) {
    const float v = T::Load(x + i);
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof(bits));
    all = std::max(all, bits & 0x7fffffffu);
  }
  float out;
  std::memcpy(&out, &all, sizeof(out));
  return out;
}

// A row of `size` numbers in codes, the largest magnitude as Code's largest. What is no number makes the row's scale NaN.
template <int kWidth, typename T, typename Code>
KEEL_INLINE void EncodeRow(const typename T::Storage* x, int64_t size,
                           typename Code::Storage* codes, float* scale) {
  const float largest = LargestOfRow<kWidth, T>(x, size);
  const bool is_number = largest <= std::numeric_limits<float>::max();
  // Below it the inverse would be infinite; such a row is 0.
  const bool is_zero = largest < 0x1p-100f;
  *scale =
      is_number ? (is_zero ? 0 : largest / Code::kMax) : std::numeric_limits<float>::quiet_NaN();
  if (!is_number || is_zero) {
    std::memset(codes, 0, size);
    return;
  }
  const float inverse = Code::kMax / largest;
  for (int64_t i = 0; i < size; ++i)
    codes[i] = Code::Store(std::clamp(T::Load(x + i) * inverse, -Code::kMax, Code::kMax));
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_KV_CODES_H_
