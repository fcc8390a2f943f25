// A linear layer whose every output has the same bits whatever else is computed beside it.
//
//   y[m, n] = round(sum_k x[m, k] * w[n, k] + bias[n])      of one type, sums in fp32
//
// Lane l of a vector of L sums the products of k = l, l + L, l + 2 L ... in this order; the lanes are
// added by halves, then the bias. Nothing else has a say: not m, not n, not the other rows, not the
// number of threads. Only L differs between variants.
#ifndef KEEL_CORE_KERNELS_INVARIANT_LINEAR_H_
#define KEEL_CORE_KERNELS_INVARIANT_LINEAR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

struct InvariantLinear {
  KernelType type = KernelType::kF32;
  int64_t m = 0, n = 0, k = 0;
  const void* x = nullptr;            // [m, k], rows ldx apart
  const void* w = nullptr;            // [n, k], rows ldw apart
  const void* bias = nullptr;         // [n], or null
  void* y = nullptr;                  // [m, n], rows ldy apart
  int64_t ldx = 0, ldw = 0, ldy = 0;  // in elements
};

// What of y to compute: rows [row_begin, row_end), columns [column_begin, column_end).
struct InvariantLinearPart {
  int64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
};

// A way to compute it. `wide_x` is x in fp32, rows InvariantLinearStride(k) apart, zero past k.
struct InvariantLinearVariant {
  std::string name;
  void (*run)(const InvariantLinear&, const float* wide_x, const InvariantLinearPart&);
};

int64_t InvariantLinearStride(int64_t k);
// Fills rows [begin, end) of `wide_x` [m, InvariantLinearStride(k)].
void WidenRows(const InvariantLinear& linear, int64_t begin, int64_t end, float* wide_x);

// Those that `cpu` can run, slowest first; the first is the plain reference.
std::vector<InvariantLinearVariant> InvariantLinearVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunInvariantLinear(const InvariantLinear& linear);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_INVARIANT_LINEAR_H_
