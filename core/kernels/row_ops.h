// The small ops of a decoder layer, one pass over each row: RMSNorm and rotary embedding. In ATen
// each is a dozen operators, which at one token a step is most of their cost.
#ifndef KEEL_CORE_KERNELS_ROW_OPS_H_
#define KEEL_CORE_KERNELS_ROW_OPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

// y = x / sqrt(mean(x^2) + eps), in fp32, rounded to x's type, times w, rounded again.
struct RmsNormRows {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;  // [rows, size], contiguous
  const void* w = nullptr;  // [size]
  void* y = nullptr;        // [rows, size], contiguous
  int64_t rows = 0, size = 0;
  float eps = 0;
};

// For each head h of row n, over pairs (i, i + half): (a, b) -> (a cos - b sin, b cos + a sin), each
// product rounded to x's type, and the sums.
struct RopeRows {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;  // [rows, heads, 2 * half], in elements:
  int64_t row_stride = 0, head_stride = 0;
  const void* cos = nullptr;  // [rows, half], contiguous, of x's type
  const void* sin = nullptr;
  void* y = nullptr;  // [rows, heads, 2 * half], contiguous
  int64_t rows = 0, heads = 0, half = 0;
};

// Ways to compute them, for rows [begin, end). The first is the plain reference.
struct RowOpsVariant {
  std::string name;
  void (*rms_norm)(const RmsNormRows&, int64_t begin, int64_t end);
  void (*rope)(const RopeRows&, int64_t begin, int64_t end);
};
std::vector<RowOpsVariant> RowOpsVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunRmsNorm(const RmsNormRows& norm);
void RunRope(const RopeRows& rope);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ROW_OPS_H_
