// Attention of queries over keys and values that lie in the blocks of a cache, or in rows.
//
// For query token t of sequence s and head h, over the keys j that t sees:
//   score_j = softcap(scale * q . k_j) + slope_h * j
//   out     = sum_j exp(score_j) v_j / (sum_j exp(score_j) + exp(sink_h))
// All sums are kept in fp32. Queries, one or many, meet the keys in tiles that lie at fixed positions of
// a sequence, and what each tile gives is added up in the order of the tiles: a query's result has the
// same bits whatever other queries there are, and however the work is split over threads.
#ifndef KEEL_CORE_KERNELS_PAGED_ATTENTION_H_
#define KEEL_CORE_KERNELS_PAGED_ATTENTION_H_

#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/attention_split.h"
#include "core/kernels/paged_attention_params.h"

namespace keel {

// A way to compute it. The first is the plain reference.
struct PagedAttentionVariant {
  std::string name;
  // Takes a block's rows over tiles of keys. Where they are all of the block's, writes its part of
  // `out`; else what each tile gives, into the block's part of `partials`.
  void (*run)(const PagedAttention&, const AttentionRows&, const AttentionSpan&, float* partials);
  // Writes the block's part of `out` from what all its tiles gave.
  void (*merge)(const PagedAttention&, const AttentionRows&, const float* partials);
};

// Those that `cpu` can run, slowest first.
std::vector<PagedAttentionVariant> PagedAttentionVariants(const CpuFeatures& cpu);

// On all threads. Allocates nothing once it has run with as much work before. The first form takes the
// fastest variant.
void RunPagedAttention(const PagedAttention& attention);
void RunPagedAttention(const PagedAttention& attention, const PagedAttentionVariant& variant);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PAGED_ATTENTION_H_
