// Functions of lanes of fp32. As lanes.h, for kernels' .cc files only.
#ifndef KEEL_CORE_KERNELS_LANES_MATH_H_
#define KEEL_CORE_KERNELS_LANES_MATH_H_

#include "core/kernels/lanes.h"

namespace keel::lanes {

// exp(x) to about an ulp, by exp(n ln 2 + r) = 2^n exp(r) and Cephes' polynomial; x is held within what fp32 can say.
template <int kWidth>
KEEL_INLINE void Exp(typename Vector<kWidth>::F32* x) {
  using F = typename Vector<kWidth>::F32;
  using U = typename Vector<kWidth>::U32;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest whole number
  F v = *x;
  v = v < -87.3f ? F{} - 87.3f : v;
  v = v > 88.0f ? F{} + 88.0f : v;
  const F shifted = v * 1.44269504088896341f + kRound;
  const F n = shifted - kRound;
  const F r = v - n * 0.693359375f - n * -2.12194440e-4f;
  F p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // The whole number is in the low bits of `shifted`; into the exponent with it.
  *x = reinterpret_cast<F>(reinterpret_cast<U>(p) + (reinterpret_cast<U>(shifted) << 23));
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_LANES_MATH_H_
