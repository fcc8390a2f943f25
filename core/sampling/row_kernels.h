// Passes over one row of logits [n], the part of sampling that is as long as the vocabulary.
//
// The row is seen as blocks of kRowBlock scores, so that what follows can go to the few blocks that
// matter. NaN and infinities count as absent everywhere. All variants do the same fp32 operations
// in the same order and give equal bits: a seed gives the same text on every machine.
#ifndef KEEL_CORE_SAMPLING_ROW_KERNELS_H_
#define KEEL_CORE_SAMPLING_ROW_KERNELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"

namespace keel {

inline constexpr int64_t kRowBlock = 256;
inline int64_t RowBlocks(int64_t n) { return (n + kRowBlock - 1) / kRowBlock; }

// What a block adds to the sums over the row.
struct BlockSum {
  double weight;  // sum of w = exp(d), d = x / t - best
  double moment;  // sum of w * d
};

struct RowKernels {
  std::string name;
  // maxima[b] = the best score of block b, -infinity where all are absent.
  void (*block_maxima)(const float* x, int64_t n, float* maxima);
  // Of scores at most `best` once divided by t; those 87 and more below weigh 0.
  void (*block_sums)(const float* x, int64_t n, float t, float best, BlockSum* sums);
  // out[i] = the weight of x[i], as in block_sums; 0 for the absent.
  void (*weights)(const float* x, int64_t n, float t, float best, float* out);
  // Sets `out` [n] to the indices of the scores that are at least `limit` (> -infinity), from the first on; returns how
  // many they are.
  int64_t (*at_least)(const float* x, int64_t n, float limit, int32_t* out);
  // x[i] = -infinity where bit i % 32 of mask[i / 32] is 0. The mask is [(n + 31) / 32].
  void (*keep_masked)(float* x, int64_t n, const uint32_t* mask);
};

// The first is the plain reference, the last the fastest that `cpu` executes.
std::vector<RowKernels> RowKernelVariants(const CpuFeatures& cpu);
const RowKernels& FastestRowKernels();

}  // namespace keel

#endif  // KEEL_CORE_SAMPLING_ROW_KERNELS_H_
