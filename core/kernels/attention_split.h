// How one attention is split into pieces of work.
#ifndef KEEL_CORE_KERNELS_ATTENTION_SPLIT_H_
#define KEEL_CORE_KERNELS_ATTENTION_SPLIT_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/kernels/paged_attention_params.h"

namespace keel {

// Keys [begin, end) of a sequence.
struct KeyRange {
  int64_t begin = 0, end = 0;
  bool empty() const { return begin >= end; }
};
inline KeyRange Intersection(const KeyRange& a, const KeyRange& b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

// What the query `token` of `sequence` sees. Neither end falls from a query to the next.
KeyRange KeysOfQuery(const PagedAttention& attention, int64_t sequence, int64_t token);

// Keys that a tile has. A power of two that follows from the sizes of keys and values alone.
int64_t KeysOfTile(const PagedAttention& attention);

// Some queries of a sequence with some heads of one KV head: row q * heads + h is query q of head h.
// They see keys of some tiles of tile_keys each.
struct AttentionRows {
  int64_t sequence = 0;
  int64_t first_query = 0, queries = 0;  // tokens
  int64_t first_head = 0, heads = 0;
  int64_t tile_keys = 0, first_tile = 0, tiles = 0;
  // Where it has several spans: its part of the partial results, in floats, and the spans to come.
  int64_t partials = 0;
  int32_t pending = 1;

  int64_t rows() const { return queries * heads; }
};

// Some tiles of a block of rows.
struct AttentionSpan {
  int32_t block = 0;  // index of its rows
  int64_t first_tile = 0, tiles = 0;
};

struct AttentionSplit {
  std::vector<AttentionRows> blocks;
  std::vector<AttentionSpan> spans;
  int64_t tiles = 0;           // of all spans
  int64_t partial_floats = 0;  // that all blocks of several spans take
};

// For so many threads. Clears `split` first, and keeps its memory.
void SplitAttention(const PagedAttention& attention, int threads, AttentionSplit* split);

// Floats that one row's result of one tile takes: its maximum, its sum and its values.
int64_t PartialStride(const PagedAttention& attention);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ATTENTION_SPLIT_H_
