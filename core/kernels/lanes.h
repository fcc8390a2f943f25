// Lanes of fp32, written over GCC's vector types: the same code becomes SSE2, AVX2 or AVX-512 by the
// number of lanes and the target attribute of the function it is inlined into. For kernels' .cc files
// only; compile those with -Wno-psabi (no vector crosses a call).
#ifndef KEEL_CORE_KERNELS_LANES_H_
#define KEEL_CORE_KERNELS_LANES_H_

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>  // declares the builtins below
#endif

#define KEEL_INLINE inline __attribute__((always_inline))
#define KEEL_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define KEEL_TARGET_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))

// Before loops over registers: without it GCC keeps arrays of them in memory at -O2.
#define KEEL_UNROLL _Pragma("GCC unroll 8")

// For parts 0 .. of sixteen lanes, without a loop.
#define KEEL_EACH_PART_OF(kWidth) \
  _Pragma("GCC unroll 4") for (int i = 0; i < static_cast<int>(kLanes) / (kWidth); ++i)

namespace keel {

enum class KernelType { kF32, kBF16, kF16 };

namespace lanes {

constexpr int64_t kLanes = 16;

// What one register holds: kWidth is 4 (SSE2), 8 (AVX2) or 16 (AVX-512).
template <int kWidth>
struct Vector {
  typedef float F32 __attribute__((vector_size(4 * kWidth)));
  typedef uint32_t U32 __attribute__((vector_size(4 * kWidth)));
  typedef uint16_t U16 __attribute__((vector_size(2 * kWidth)));
  typedef uint16_t U16Pairs __attribute__((vector_size(4 * kWidth)));  // halves of U32
};

// What 16-bit elements become in a register and back. __builtin_convertvector is several times slower
// with GCC 12, and the intrinsics cannot be inlined into a function that has no target yet; what is
// behind them can.
template <int kWidth>
struct Convert;

template <>
struct Convert<4> {
  static KEEL_INLINE void WidenBF16(const uint16_t* p, Vector<4>::F32* out) {
    Vector<4>::U16 upper;
    std::memcpy(&upper, p, sizeof(upper));
    const Vector<4>::U16Pairs pairs =
        __builtin_shufflevector(Vector<4>::U16{}, upper, 0, 4, 1, 5, 2, 6, 3, 7);
    std::memcpy(out, &pairs, sizeof(pairs));
  }
  // The upper halves of `bits`.
  static KEEL_INLINE void UpperHalves(const Vector<4>::U32* bits, uint16_t* p) {
    const auto pairs = reinterpret_cast<Vector<4>::U16Pairs>(*bits);
    const Vector<4>::U16 upper = __builtin_shufflevector(pairs, pairs, 1, 3, 5, 7);
    std::memcpy(p, &upper, sizeof(upper));
  }
  static KEEL_INLINE void WidenF16(const _Float16* p, Vector<4>::F32* out) {
    for (int i = 0; i < 4; ++i) (*out)[i] = static_cast<float>(p[i]);
  }
  static KEEL_INLINE void NarrowF16(const Vector<4>::F32* x, _Float16* p) {
    for (int i = 0; i < 4; ++i) p[i] = static_cast<_Float16>((*x)[i]);
  }
};

#if defined(__x86_64__)
template <>
struct Convert<8> {
  typedef short Shorts __attribute__((vector_size(16)));
  typedef int Ints __attribute__((vector_size(32)));
  static KEEL_INLINE void WidenBF16(const uint16_t* p, Vector<8>::F32* out) {
    Shorts shorts;
    std::memcpy(&shorts, p, sizeof(shorts));
    *out = reinterpret_cast<Vector<8>::F32>(__builtin_ia32_pmovzxwd256(shorts) << 16);
  }
  static KEEL_INLINE void UpperHalves(const Vector<8>::U32* bits, uint16_t* p) {
    const auto pairs = reinterpret_cast<Vector<8>::U16Pairs>(*bits);
    const Vector<8>::U16 upper = __builtin_shufflevector(pairs, pairs, 1, 3, 5, 7, 9, 11, 13, 15);
    std::memcpy(p, &upper, sizeof(upper));
  }
  static KEEL_INLINE void WidenF16(const _Float16* p, Vector<8>::F32* out) {
    Shorts shorts;
    std::memcpy(&shorts, p, sizeof(shorts));
    *out = __builtin_ia32_vcvtph2ps256(shorts);
  }
  static KEEL_INLINE void NarrowF16(const Vector<8>::F32* x, _Float16* p) {
    const Shorts shorts = __builtin_ia32_vcvtps2ph256(*x, 0 /* to nearest even */);
    std::memcpy(p, &shorts, sizeof(shorts));
  }
};

template <>
struct Convert<16> {
  typedef short Shorts __attribute__((vector_size(32)));
  typedef int Ints __attribute__((vector_size(64)));
  static KEEL_INLINE void WidenBF16(const uint16_t* p, Vector<16>::F32* out) {
    Shorts shorts;
    std::memcpy(&shorts, p, sizeof(shorts));
    const Ints ints = __builtin_ia32_pmovzxwd512_mask(shorts, Ints{}, -1);
    *out = reinterpret_cast<Vector<16>::F32>(ints << 16);
  }
  static KEEL_INLINE void UpperHalves(const Vector<16>::U32* bits, uint16_t* p) {
    const Shorts upper =
        __builtin_ia32_pmovdw512_mask(reinterpret_cast<Ints>(*bits >> 16), Shorts{}, -1);
    std::memcpy(p, &upper, sizeof(upper));
  }
  static KEEL_INLINE void WidenF16(const _Float16* p, Vector<16>::F32* out) {
    Shorts shorts;
    std::memcpy(&shorts, p, sizeof(shorts));
    constexpr int kCurrentRounding = 4;
    *out = __builtin_ia32_vcvtph2ps512_mask(shorts, Vector<16>::F32{}, -1, kCurrentRounding);
  }
  static KEEL_INLINE void NarrowF16(const Vector<16>::F32* x, _Float16* p) {
    const Shorts shorts =
        __builtin_ia32_vcvtps2ph512_mask(*x, 0 /* to nearest even */, Shorts{}, -1);
    std::memcpy(p, &shorts, sizeof(shorts));
  }
};
#endif

// Sixteen lanes of fp32 in as many registers as they take: of one vector that is wider than the CPU's,
// GCC keeps the parts on the stack.
template <int kWidth>
struct F32x16 {
  typename Vector<kWidth>::F32 part[kLanes / kWidth];

  friend KEEL_INLINE F32x16 operator+(const F32x16& a, const F32x16& b) {
    F32x16 out;
    KEEL_EACH_PART_OF(kWidth) out.part[i] = a.part[i] + b.part[i];
    return out;
  }
  friend KEEL_INLINE F32x16 operator-(const F32x16& a, const F32x16& b) {
    F32x16 out;
    KEEL_EACH_PART_OF(kWidth) out.part[i] = a.part[i] - b.part[i];
    return out;
  }
  friend KEEL_INLINE F32x16 operator*(const F32x16& a, const F32x16& b) {
    F32x16 out;
    KEEL_EACH_PART_OF(kWidth) out.part[i] = a.part[i] * b.part[i];
    return out;
  }
  friend KEEL_INLINE F32x16 operator*(const F32x16& a, float b) {
    F32x16 out;
    KEEL_EACH_PART_OF(kWidth) out.part[i] = a.part[i] * b;
    return out;
  }
  KEEL_INLINE void operator+=(const F32x16& b) { KEEL_EACH_PART_OF(kWidth) part[i] += b.part[i]; }
};

// By halves, so that no addition waits for all before it.
template <int kWidth>
KEEL_INLINE float SumOfRegister(const typename Vector<kWidth>::F32& x) {
  if constexpr (kWidth == 4) {
    const float even = x[0] + x[2], odd = x[1] + x[3];
    return even + odd;
  } else {
    typename Vector<kWidth / 2>::F32 lower, upper;
    std::memcpy(&lower, &x, sizeof(lower));
    std::memcpy(&upper, reinterpret_cast<const char*>(&x) + sizeof(lower), sizeof(upper));
    lower += upper;
    return SumOfRegister<kWidth / 2>(lower);
  }
}
template <int kWidth>
KEEL_INLINE float Sum(const F32x16<kWidth>& x) {
  if constexpr (kWidth == 16) return SumOfRegister<16>(x.part[0]);
  if constexpr (kWidth == 8) return SumOfRegister<8>(x.part[0] + x.part[1]);
  if constexpr (kWidth == 4) {
    return SumOfRegister<4>((x.part[0] + x.part[2]) + (x.part[1] + x.part[3]));
  }
}

// Element types: Storage in memory, fp32 in registers; stores round to nearest even.
struct F32 {
  using Storage = float;
  static KEEL_INLINE float Load(const float* p) { return *p; }
  static KEEL_INLINE float Store(float x) { return x; }
  template <int kWidth>
  static KEEL_INLINE void LoadLanes(const float* p, F32x16<kWidth>* out) {
    KEEL_EACH_PART_OF(kWidth) std::memcpy(&out->part[i], p + i * kWidth, 4 * kWidth);
  }
  template <int kWidth>
  static KEEL_INLINE void StoreLanes(const F32x16<kWidth>& x, float* p) {
    KEEL_EACH_PART_OF(kWidth) std::memcpy(p + i * kWidth, &x.part[i], 4 * kWidth);
  }
  template <int kWidth>
  static KEEL_INLINE void RoundLanes(F32x16<kWidth>*) {}
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
  template <int kWidth>
  static KEEL_INLINE void LoadLanes(const uint16_t* p, F32x16<kWidth>* out) {
    KEEL_EACH_PART_OF(kWidth) Convert<kWidth>::WidenBF16(p + i * kWidth, &out->part[i]);
  }
  template <int kWidth>
  static KEEL_INLINE void StoreLanes(const F32x16<kWidth>& x, uint16_t* p) {
    KEEL_EACH_PART_OF(kWidth) {
      typename Vector<kWidth>::U32 bits;
      RoundedBits<kWidth>(x.part[i], &bits);
      Convert<kWidth>::UpperHalves(&bits, p + i * kWidth);
    }
  }
  template <int kWidth>
  static KEEL_INLINE void RoundLanes(F32x16<kWidth>* x) {
    KEEL_EACH_PART_OF(kWidth) {
      typename Vector<kWidth>::U32 bits;
      RoundedBits<kWidth>(x->part[i], &bits);
      std::memcpy(&x->part[i], &bits, sizeof(bits));
    }
  }

 private:
  // The rounded numbers' bits, still in the upper halves.
  template <int kWidth>
  static KEEL_INLINE void RoundedBits(const typename Vector<kWidth>::F32& x,
                                      typename Vector<kWidth>::U32* out) {
    using U32 = typename Vector<kWidth>::U32;
    U32 bits;
    std::memcpy(&bits, &x, sizeof(bits));
    bits = bits + 0x7fff + (bits >> 16 & 1);
    const U32 nan = reinterpret_cast<U32>(x != x);
    *out = (bits & ~nan & 0xffff0000u) | (nan & 0x7fc00000u);
  }
};

struct F16 {
  using Storage = _Float16;
  static KEEL_INLINE float Load(const _Float16* p) { return static_cast<float>(*p); }
  static KEEL_INLINE _Float16 Store(float x) { return static_cast<_Float16>(x); }
  template <int kWidth>
  static KEEL_INLINE void LoadLanes(const _Float16* p, F32x16<kWidth>* out) {
    KEEL_EACH_PART_OF(kWidth) Convert<kWidth>::WidenF16(p + i * kWidth, &out->part[i]);
  }
  template <int kWidth>
  static KEEL_INLINE void StoreLanes(const F32x16<kWidth>& x, _Float16* p) {
    KEEL_EACH_PART_OF(kWidth) Convert<kWidth>::NarrowF16(&x.part[i], p + i * kWidth);
  }
  template <int kWidth>
  static KEEL_INLINE void RoundLanes(F32x16<kWidth>* x) {
    KEEL_EACH_PART_OF(kWidth) {
      _Float16 rounded[kWidth];
      Convert<kWidth>::NarrowF16(&x->part[i], rounded);
      Convert<kWidth>::WidenF16(rounded, &x->part[i]);
    }
  }
};

}  // namespace lanes
}  // namespace keel

#endif  // KEEL_CORE_KERNELS_LANES_H_
