#include "core/kernels/attention_split.h"

#include "core/base/visible_keys.h"

namespace keel {
namespace {

// Rows of a block: enough that packing a tile of keys costs little beside its products, few enough
// that they stay in the second-level cache.
constexpr int64_t kLeastRows = 48, kMostRows = 256;

// What a thread takes at a time is at most this part of its share, so that all end together.
constexpr int64_t kPiecesAThread = 6;

// Partial results that a call may have, in floats. Of a chunk of a prompt behind a long context they would come to
// gigabytes; blocks beyond are left whole.
constexpr int64_t kMostPartials = 32 << 20;

int64_t KeysOfSequence(const PagedAttention& a, int64_t sequence) {
  return a.seq_lens != nullptr ? a.seq_lens[sequence] : a.cu_q[sequence + 1] - a.cu_q[sequence];
}

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The blocks of one sequence and KV head; `heads` and `queries` are at most so many a block.
void AddBlocks(const PagedAttention& a, int64_t sequence, int64_t kv_head, int64_t heads,
               int64_t queries, AttentionSplit* split) {
  const int64_t of_kv_head = a.heads / a.kv_heads;
  const int64_t begin = a.cu_q[sequence], end = a.cu_q[sequence + 1];
  AttentionRows rows;
  rows.sequence = sequence;
  rows.tile_keys = KeysOfTile(a);
  for (int64_t head = 0; head < of_kv_head; head += heads) {
    rows.first_head = kv_head * of_kv_head + head;
    rows.heads = std::min(heads, of_kv_head - head);
    // The last queries see the most keys: what takes long comes first.
    for (int64_t query_end = end; query_end > begin; query_end -= rows.queries) {
      rows.queries = std::min(queries, query_end - begin);
      rows.first_query = query_end - rows.queries;
      const int64_t first_key = KeysOfQuery(a, sequence, rows.first_query).begin;
      const int64_t end_key = KeysOfQuery(a, sequence, query_end - 1).end;
      rows.first_tile = first_key / rows.tile_keys;
      rows.tiles = CeilDiv(end_key, rows.tile_keys) - rows.first_tile;
      split->tiles += rows.tiles;
      split->blocks.push_back(rows);
    }
  }
}

}  // namespace

KeyRange KeysOfQuery(const PagedAttention& a, int64_t sequence, int64_t token) {
  const int64_t keys = KeysOfSequence(a, sequence);
  if (!a.causal) {
    if (a.window == 0) return {0, keys};
    const int64_t row = token - a.cu_q[sequence];
    return {FirstVisibleKey(row, a.window, 0), std::min(keys, row + a.window)};
  }
  const int64_t first_position = keys - a.cu_q[sequence + 1];  // that row 0 of the step would have
  const int64_t position = first_position + token;
  const KeyRange own = {FirstVisibleKey(position, a.window, a.chunk), position + 1};
  if (a.group_rows == nullptr) return own;
  return {std::min(own.begin, first_position + a.group_rows[2 * token]),
          std::max(own.end, first_position + a.group_rows[2 * token + 1])};
}

int64_t KeysOfTile(const PagedAttention& a) {
  constexpr int64_t kMost = 256, kLeast = 32;
  constexpr int64_t kElements = 64 << 10;  // of keys and values, 256 KiB in fp32
  int64_t keys = kMost;
  while (keys > kLeast && keys * (a.qk_dim + a.v_dim) > kElements) keys /= 2;
  return keys;
}

int64_t PartialStride(const PagedAttention& a) { return a.v_dim + 2; }

void SplitAttention(const PagedAttention& a, int threads, AttentionSplit* split) {
  split->blocks.clear();
  split->spans.clear();
  split->tiles = split->partial_floats = 0;
  const int64_t of_kv_head = a.heads / a.kv_heads;
  const int64_t tokens = a.cu_q[a.num_sequences] - a.cu_q[0];
  const int64_t share = tokens * a.heads / (kPiecesAThread * threads);
  const int64_t rows = std::clamp(share, kLeastRows, kMostRows);
  const int64_t heads = CeilDiv(of_kv_head, CeilDiv(of_kv_head, rows));
  const int64_t queries = std::max<int64_t>(1, rows / heads);
  for (int64_t sequence = 0; sequence < a.num_sequences; ++sequence) {
    for (int64_t kv_head = 0; kv_head < a.kv_heads; ++kv_head)
      AddBlocks(a, sequence, kv_head, heads, queries, split);
  }
  const int64_t most_tiles = std::max<int64_t>(1, split->tiles / (kPiecesAThread * threads));
  for (size_t i = 0; i < split->blocks.size(); ++i) {
    AttentionRows& block = split->blocks[i];
    const int64_t partials = block.tiles * block.rows() * PartialStride(a);
    const bool is_whole = threads == 1 || split->partial_floats + partials > kMostPartials;
    const int64_t spans = is_whole ? 1 : CeilDiv(block.tiles, most_tiles);
    block.pending = static_cast<int32_t>(spans);
    if (spans > 1) {
      block.partials = split->partial_floats;
      split->partial_floats += partials;
    }
    for (int64_t span = 0; span < spans; ++span) {
      const int64_t begin = block.tiles * span / spans, end = block.tiles * (span + 1) / spans;
      split->spans.push_back({static_cast<int32_t>(i), block.first_tile + begin, end - begin});
    }
  }
}

}  // namespace keel
