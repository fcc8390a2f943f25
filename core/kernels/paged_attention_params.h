// What an attention over paged keys and values is given; core/kernels/paged_attention.h says what is computed.
#ifndef KEEL_CORE_KERNELS_PAGED_ATTENTION_PARAMS_H_
#define KEEL_CORE_KERNELS_PAGED_ATTENTION_PARAMS_H_

#include <cstdint>

#include "core/kernels/kv_type.h"
#include "core/kernels/lanes.h"

namespace keel {

struct PagedAttention {
  KernelType type = KernelType::kF32;  // of q and out
  KvType kv_type = KvType::kF32;       // of keys and values; without blocks as `type`
  const void* q = nullptr;             // [tokens, heads, qk_dim], heads contiguous
  int64_t q_token_stride = 0;          // in elements
  int64_t q_head_stride = 0;
  const void* k_cache = nullptr;    // [blocks, kv_heads, block_size, qk_dim], contiguous
  const void* v_cache = nullptr;    // [blocks, kv_heads, block_size, v_dim]
  int64_t v_row_stride = 0;         // in elements, from row to row of all of it; 0: v_dim
  const float* k_scales = nullptr;  // [blocks, kv_heads, block_size], of types that have scales
  const float* v_scales = nullptr;
  void* out = nullptr;  // [tokens, heads, v_dim], contiguous
  int64_t heads = 0, kv_heads = 0, qk_dim = 0, v_dim = 0, block_size = 0;

  // [sequences, max_blocks]; unused entries are not read. Null: there are no blocks, keys and values lie
  // as the queries do, key j of sequence s in row cu_q[s] + j of [tokens, kv_heads, D], heads contiguous.
  const int32_t* block_table = nullptr;
  int64_t max_blocks = 0;
  int64_t k_token_stride = 0, k_head_stride = 0;  // in elements, where there are no blocks
  int64_t v_token_stride = 0, v_head_stride = 0;

  const int32_t* seq_lens = nullptr;  // [sequences]; null: as many keys as queries
  const int32_t* cu_q = nullptr;      // [sequences + 1]
  int64_t num_sequences = 0;

  // A sequence's last query is at its last key, and none sees keys after its own, or its group's. False: query i of a
  // sequence is at key i, and sees those behind it as those before it.
  bool causal = true;
  float scale = 1;
  float softcap = 0;   // 0: none
  int64_t window = 0;  // keys less than `window` away are seen; 0: all
  int64_t chunk = 0;   // keys of the same chunk only; 0: all. Of causal ones only
  // [tokens, 2], as FindGroupRows fills it: rows of the step that a query's sequence has and it sees beside its other keys,
  // later ones and those outside its window or chunk. Of causal ones only; null: none.
  const int32_t* group_rows = nullptr;
  const float* slopes = nullptr;  // [heads]; null: none
  const float* sinks = nullptr;   // [heads]; null: none
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PAGED_ATTENTION_PARAMS_H_
