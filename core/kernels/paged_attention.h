// Attention of single queries over a paged KV cache.
//
// For query token t of sequence s and head h, over the keys j that t sees:
//   score_j = softcap(scale * q . k_j) + slope_h * j
//   out     = sum_j exp(score_j) v_j / (sum_j exp(score_j) + exp(sink_h))
// All sums are kept in fp32, keys are taken block by block with a running maximum.
#ifndef KEEL_CORE_KERNELS_PAGED_ATTENTION_H_
#define KEEL_CORE_KERNELS_PAGED_ATTENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/lanes.h"

namespace keel {

struct PagedAttention {
  KernelType type = KernelType::kF32;  // of q, caches and out
  const void* q = nullptr;             // [tokens, heads, qk_dim], heads contiguous
  int64_t q_token_stride = 0;          // in elements
  int64_t q_head_stride = 0;
  const void* k_cache = nullptr;  // [blocks, kv_heads, block_size, qk_dim], contiguous
  const void* v_cache = nullptr;  // [blocks, kv_heads, block_size, v_dim]
  int64_t v_row_stride = 0;       // in elements, from row to row of all of it; 0: v_dim
  void* out = nullptr;            // [tokens, heads, v_dim], contiguous
  int64_t heads = 0, kv_heads = 0, qk_dim = 0, v_dim = 0, block_size = 0;

  const int32_t* block_table = nullptr;  // [sequences, max_blocks]; unused entries are not read
  int64_t max_blocks = 0;
  const int32_t* seq_lens = nullptr;  // [sequences]
  const int32_t* cu_q = nullptr;      // [sequences + 1]
  int64_t num_sequences = 0;

  float scale = 1;
  float softcap = 0;              // 0: none
  int64_t window = 0;             // keys seen, itself included; 0: all
  int64_t chunk = 0;              // keys of the same chunk only; 0: all
  const float* slopes = nullptr;  // [heads]; null: none
  const float* sinks = nullptr;   // [heads]; null: none
};

// A way to compute it. The first is the plain reference.
struct PagedAttentionVariant {
  std::string name;
  void (*run)(const PagedAttention&, int64_t item_begin, int64_t item_end);
};

// Those that `cpu` can run, slowest first. Items are (token, heads of a KV head).
std::vector<PagedAttentionVariant> PagedAttentionVariants(const CpuFeatures& cpu);

int64_t PagedAttentionItems(const PagedAttention& attention);

// The fastest variant, on all threads.
void RunPagedAttention(const PagedAttention& attention);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PAGED_ATTENTION_H_
