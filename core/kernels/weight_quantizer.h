// Groups of weights to integers and a scale, by the least squared error among some scales tried.
#ifndef KEEL_CORE_KERNELS_WEIGHT_QUANTIZER_H_
#define KEEL_CORE_KERNELS_WEIGHT_QUANTIZER_H_

#include <cstdint>

namespace keel {

// Both: `count` weights, a multiple of 8. Returns the scale; it may be negative. A group that has an infinity or a NaN
// gets a scale of NaN.

// codes[i] = q + 128 with w[i] about scale * q, q in [-128, 127].
_Float16 QuantizeInt8Group(const float* w, int64_t count, uint8_t* codes);

// w[i] is about scale * (levels[codes[i]] - zero). `levels` ascend and have zero among them.
_Float16 QuantizeInt4Group(const float* w, int64_t count, const uint8_t levels[16], int zero,
                           uint8_t* codes);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_WEIGHT_QUANTIZER_H_
