// A few rows of activations times a weight matrix as it lies in the checkpoint: decode.
//
//   y[m, n] = bf16(sum_k x[m, k] * w[n, k] + bias[n])      all bf16, sums in fp32
//
// Nothing is packed: the weights are read where the file is mapped, once, whatever M is. At small M
// the bytes of w are all that counts, and at::linear reads them at less than half the speed that
// memory gives.
#ifndef KEEL_CORE_KERNELS_GEMV_BF16_H_
#define KEEL_CORE_KERNELS_GEMV_BF16_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"

namespace keel {

// From this many rows on, ATen's GEMM is the better one.
inline constexpr int64_t kMaxGemvRows = 16;

struct GemvBf16 {
  int64_t m = 0, n = 0, k = 0;        // m <= kMaxGemvRows for speed; any for the result
  const uint16_t* x = nullptr;        // [m, k], rows ldx apart
  const uint16_t* w = nullptr;        // [n, k], rows ldw apart
  const uint16_t* bias = nullptr;     // [n], or null
  uint16_t* y = nullptr;              // [m, n], rows ldy apart
  int64_t ldx = 0, ldw = 0, ldy = 0;  // in elements
};

// A way to compute columns [begin, end) of y. Sums are taken in another order in each, so results
// differ by rounding: at most 2 * k * 2^-24 * sum_k |x w| before the one to bf16.
struct GemvBf16Variant {
  std::string name;
  void (*run)(const GemvBf16&, int64_t begin, int64_t end);
};

// Those that `cpu` can run, slowest first; the first is the plain reference.
std::vector<GemvBf16Variant> GemvBf16Variants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunGemvBf16(const GemvBf16& gemv);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_GEMV_BF16_H_
