// Sums of weighted rows: what a mixture's experts gave a token.
#ifndef KEEL_CORE_KERNELS_WEIGHTED_ROWS_H_
#define KEEL_CORE_KERNELS_WEIGHTED_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

// y[t] = round(sum over i in [first[t], first[t + 1]) of weights[i] * x[row_of[i]]), in fp32, in the order of i.
struct WeightedRows {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;         // [.., size], contiguous
  void* y = nullptr;               // [rows, size], contiguous
  const int64_t* first = nullptr;  // [rows + 1]
  const int64_t* row_of = nullptr;
  const float* weights = nullptr;
  int64_t rows = 0, size = 0;
};

// Ways to compute rows [begin, end). The first is the plain reference.
struct WeightedRowsVariant {
  std::string name;
  void (*run)(const WeightedRows&, int64_t begin, int64_t end);
};
std::vector<WeightedRowsVariant> WeightedRowsVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunWeightedRows(const WeightedRows& sum);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_WEIGHTED_ROWS_H_
