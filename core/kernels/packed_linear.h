// Linear layers over weights that were packed for the kernels when a model was loaded.
//
//   y[m, n] = round(residual[m, n] + round(sum_k x[m, k] * w[n, k] + bias[n]))
//
// Outputs come in panels of kPanel; a panel's weights lie side by side along k, in the order in which a kernel reads
// them, one layout a WeightType whatever the CPU. So decoding reads memory in one stream a thread, and the same bytes
// serve prompts. Sums are in fp32, or in int32 within a group where x is quantized too.
//
// Linears of one input (q, k and v; gate and up) are given in one call: x is converted once, and the threads meet
// once.
#ifndef KEEL_CORE_KERNELS_PACKED_LINEAR_H_
#define KEEL_CORE_KERNELS_PACKED_LINEAR_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/kernels/lanes.h"
#include "core/kernels/numerics.h"

namespace keel {

inline constexpr int64_t kPanel = 64;  // outputs

// How a linear's weights are stored.
enum class WeightType { kF32, kBF16, kF16, kInt8, kInt4 };

struct PackedFormat {
  WeightType weights = WeightType::kBF16;
  // Inputs that share a scale: 32, 64 or 128 with kInt8 and kInt4; 0 elsewhere.
  int64_t group = 0;
  // With kInt8: x is quantized to 8 bits too (w8a8), by a scale a row and group. Without it x keeps 16 bits of the
  // greatest number of its group.
  bool int8_activations = false;

  bool operator==(const PackedFormat&) const = default;
};

// Where a panel lies in `packed` is p * PanelBytes(format, k); what is in it, with r(k) for k rounded up:
//   kF32, kF16   [k][64]
//   kBF16        [r(k) / 2][64][2]: pairs along k side by side, as dot products of bf16 take them
//   kInt8, kInt4 [k / group] of scales [64] and codes, r(k) to 8 (packed_int.h)
inline int64_t Panels(int64_t n) { return (n + kPanel - 1) / kPanel; }
// Bytes of one panel, scales included; a multiple of 64.
int64_t PanelBytes(const PackedFormat& format, int64_t k);

// A weight matrix as a checkpoint has it: [n, k], rows ldw elements apart.
struct PlainWeights {
  KernelType type = KernelType::kF32;
  const void* w = nullptr;
  int64_t n = 0, k = 0, ldw = 0;
};

// Packs panels [begin, end) into `packed`, which is where panel 0 begins: Panels(n) * PanelBytes bytes, 64-byte
// aligned, best in large pages (huge_memory.h). Outputs past n are zero. Panels are independent, so threads may share
// the work.
void PackPanels(const PackedFormat& format, const PlainWeights& weights, int64_t begin, int64_t end,
                void* packed);

// The panel in fp32, [kPanel, k]: what its kernels compute with.
void UnpackPanel(const PackedFormat& format, int64_t k, const void* panel, float* out);

struct PackedLinear {
  PackedFormat format = {};
  int64_t n = 0, k = 0;
  const void* weights = nullptr;  // as PackPanels made them
  const float* bias = nullptr;    // [n], or null

  KernelType type = KernelType::kF32;  // of x, y and residual
  int64_t m = 0;
  const void* x = nullptr;         // [m, k], rows ldx elements apart
  void* y = nullptr;               // [m, n], rows ldy apart
  const void* residual = nullptr;  // [m, n], rows ldr apart; may be y; null: none
  int64_t ldx = 0, ldy = 0, ldr = 0;
};

// Runs them on all threads, by the fastest variants (packed_linear_variants.h) that this CPU has. All have the same
// x, m, k and type; one's y may be no other's operand. Which columns a thread computes depends on shapes and threads
// alone, so with few rows each thread reads the same weights at every step. Each thread converts the rows of x that
// it needs, into memory that it keeps from call to call: nothing is allocated once the largest shape was seen.
void RunPackedLinears(absl::Span<const PackedLinear> linears,
                      Numerics numerics = Numerics::kFastest);
inline void RunPackedLinear(const PackedLinear& linear, Numerics numerics = Numerics::kFastest) {
  RunPackedLinears({&linear, 1}, numerics);
}

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PACKED_LINEAR_H_
