// The MLPs of a mixture's experts over packed weights: each token's rows of y are
//
//   y[t] = round(sum over its experts e, by rising e, of weight * down_e(round(act(gate_e(x[t])) * up_e(x[t]))))
//
// Tokens are sorted by expert. One pass goes over the gates and ups of all experts that are asked for, one over their
// downs, so the weights of an expert are read once, and threads share the work of all.
#ifndef KEEL_CORE_KERNELS_PACKED_EXPERTS_H_
#define KEEL_CORE_KERNELS_PACKED_EXPERTS_H_

#include <cstdint>
#include <vector>

#include "core/kernels/element_rows.h"
#include "core/kernels/packed_linear.h"

namespace keel {

struct PackedExpert {
  // Borrowed. gate: null in a mixture without; all null: the expert is another rank's and adds nothing.
  const PackedLinear* gate = nullptr;
  const PackedLinear* up = nullptr;
  const PackedLinear* down = nullptr;
};

struct PackedExperts {
  std::vector<PackedExpert> experts;        // of one shape and type, all with a gate or none
  KernelType type = KernelType::kF32;       // of x and y
  int64_t hidden_size = 0, inner_size = 0;  // up is [inner, hidden], down [hidden, inner]
  bool has_gate = true;
  Act act = Act::kSilu;
  float limit = 0, up_offset = 0;  // as ElementRows::limit and ::b_offset
};

struct ExpertRows {
  const void* x = nullptr;  // [rows, hidden_size], rows x_stride elements apart
  void* y = nullptr;        // [rows, hidden_size], contiguous; none of x
  int64_t rows = 0, x_stride = 0, top_k = 0;
  // [rows, top_k], rows so many elements apart. Numbers that are no expert's are taken for the nearest one that is.
  const int64_t* chosen = nullptr;
  int64_t chosen_stride = 0;
  KernelType weights_type = KernelType::kF32;
  const void* weights = nullptr;  // [rows, top_k] likewise; rounded to the experts' type
  int64_t weights_stride = 0;
  void* scratch = nullptr;  // rows * ExpertScratchBytes, 64-byte aligned; nobody else's meanwhile
};

// For each row; a multiple of 64.
int64_t ExpertScratchBytes(const PackedExperts& experts, int64_t top_k);

// On all threads. Allocates nothing once the calling thread has run the largest number of experts.
void RunPackedExperts(const PackedExperts& experts, const ExpertRows& rows);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PACKED_EXPERTS_H_
