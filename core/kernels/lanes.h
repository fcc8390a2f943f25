// Sixteen lanes of fp32, written over GCC's vector types: the same code becomes SSE2, AVX2 or
// AVX-512 by the target attribute of the function it is inlined into. For kernels' .cc files only;
// compile those with -Wno-psabi (no vector crosses a call).
#ifndef KEEL_CORE_KERNELS_LANES_H_
#define KEEL_CORE_KERNELS_LANES_H_

#include <cstdint>
#include <cstring>

#define KEEL_INLINE inline __attribute__((always_inline))
#define KEEL_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define KEEL_TARGET_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))

namespace keel {

enum class KernelType { kF32, kBF16, kF16 };

namespace lanes {

constexpr int64_t kLanes = 16;
typedef float F32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef uint16_t U16x16 __attribute__((vector_size(32)));

// Element types: Storage in memory, fp32 in registers; stores round to nearest even.
struct F32 {
  using Storage = float;
  static KEEL_INLINE float Load(const float* p) { return *p; }
  static KEEL_INLINE float Store(float x) { return x; }
  static KEEL_INLINE void LoadLanes(const float* p, F32x16* out) { std::memcpy(out, p, 64); }
  static KEEL_INLINE void StoreLanes(const F32x16* x, float* p) { std::memcpy(p, x, 64); }
  static KEEL_INLINE void RoundLanes(F32x16*) {}
};

struct BF16 {
  using Storage = uint16_t;
  static KEEL_INLINE float Load(const uint16_t* p) {
    const uint32_t bits = static_cast<uint32_t>(*p) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
  }
  static KEEL_INLINE uint16_t Store(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (x != x) return 0x7fc0;
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  static KEEL_INLINE void LoadLanes(const uint16_t* p, F32x16* out) {
    U16x16 raw;
    std::memcpy(&raw, p, 32);
    const U32x16 bits = __builtin_convertvector(raw, U32x16) << 16;
    std::memcpy(out, &bits, 64);
  }
  // The rounded numbers' bits, still in the upper halves.
  static KEEL_INLINE void RoundedBits(const F32x16* x, U32x16* out) {
    U32x16 bits;
    std::memcpy(&bits, x, 64);
    bits = bits + 0x7fff + (bits >> 16 & 1);
    const U32x16 nan = reinterpret_cast<U32x16>(*x != *x);
    *out = (bits & ~nan & 0xffff0000u) | (nan & 0x7fc00000u);
  }
  static KEEL_INLINE void StoreLanes(const F32x16* x, uint16_t* p) {
    U32x16 bits;
    RoundedBits(x, &bits);
    const U16x16 out = __builtin_convertvector(bits >> 16, U16x16);
    std::memcpy(p, &out, 32);
  }
  static KEEL_INLINE void RoundLanes(F32x16* x) {
    U32x16 bits;
    RoundedBits(x, &bits);
    std::memcpy(x, &bits, 64);
  }
};

struct F16 {
  using Storage = _Float16;
  static KEEL_INLINE float Load(const _Float16* p) { return static_cast<float>(*p); }
  static KEEL_INLINE _Float16 Store(float x) { return static_cast<_Float16>(x); }
  static KEEL_INLINE void LoadLanes(const _Float16* p, F32x16* out) {
    for (int64_t i = 0; i < kLanes; ++i) (*out)[i] = static_cast<float>(p[i]);
  }
  static KEEL_INLINE void StoreLanes(const F32x16* x, _Float16* p) {
    for (int64_t i = 0; i < kLanes; ++i) p[i] = static_cast<_Float16>((*x)[i]);
  }
  static KEEL_INLINE void RoundLanes(F32x16* x) {
    for (int64_t i = 0; i < kLanes; ++i) {
      (*x)[i] = static_cast<float>(static_cast<_Float16>((*x)[i]));
    }
  }
};

// As many lanes as a register holds: 4 (SSE2), 8 (AVX2), 16 (AVX-512). For loops that keep several sums, where GCC would
// put the parts of wider ones on the stack.
template <int kWidth>
struct Register;
template <>
struct Register<4> {
  typedef float F32 __attribute__((vector_size(16)));
};
template <>
struct Register<8> {
  typedef float F32 __attribute__((vector_size(32)));
};
template <>
struct Register<16> {
  typedef float F32 __attribute__((vector_size(64)));
};

// By halves, so that no addition waits for all before it.
template <int kWidth>
KEEL_INLINE float SumOfRegister(const typename Register<kWidth>::F32& x) {
  float parts[kWidth];
  std::memcpy(parts, &x, sizeof(parts));
  for (int n = kWidth / 2; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) parts[i] += parts[i + n];
  }
  return parts[0];
}

KEEL_INLINE float Sum(const F32x16* x) {
  float sum = 0;
  for (int64_t i = 0; i < kLanes; ++i) sum += (*x)[i];
  return sum;
}

}  // namespace lanes
}  // namespace keel

#endif  // KEEL_CORE_KERNELS_LANES_H_
