// Rows of queries on their way through tiles of keys: which keys a tile has, where their rows and scales are, and in what
// order they are read. For attention_span.h.
#ifndef KEEL_CORE_KERNELS_ATTENTION_WORK_H_
#define KEEL_CORE_KERNELS_ATTENTION_WORK_H_

#include <algorithm>
#include <cstring>

#include "core/kernels/attention_pack.h"
#include "core/kernels/attention_scratch.h"
#include "core/kernels/attention_split.h"
#include "core/kernels/attention_tile.h"
#include "core/kernels/lanes.h"
#include "core/kernels/paged_attention.h"

namespace keel::lanes {

// Rows whose scores are held at a time, so that they stay in the first-level cache.
constexpr int64_t kStripRows = 24;

// Rows whose keys and values are read ahead.
constexpr int64_t kAhead = 64;

// A tile of keys in `panels` panels from `first_key` on, of which `range` are there.
struct Tile {
  int64_t first_key = 0, panels = 0;
  KeyRange range;
};

// Some rows of a block against a tile: they see something of its panels [begin, end), and nothing of
// the others.
struct Strip {
  int64_t first = 0, count = 0;
  int64_t begin = 0, end = 0;
  Running found[kStripRows];
};

struct Work;

// What is done with a strip and knows no type of the cache: compiled once for all of them.
struct Steps {
  void (*product)(const uint32_t* a, int64_t a_stride, int64_t rows, const uint32_t* b,
                  int64_t b_stride, int64_t panels, int64_t k, bool adds, float* c,
                  int64_t c_stride);
  void (*weigh)(const Work&, const Tile&, float* scores, int64_t stride, Strip*);
  void (*fold)(const Work&, float* values, const Strip&);
  bool in_registers = true;     // few rows meet keys without `product`
  int64_t words_multiple = 1;   // of a `product`
  int64_t words_at_a_time = 0;  // of keys that few rows meet; 0: as many as are packed at a time
};

// One block of rows on its way through its tiles.
struct Work {
  const PagedAttention* a;
  const AttentionRows* rows;
  Scratch* scratch;
  const Steps* steps;
  int64_t words = 0;          // of a packed query
  int64_t out_stride = 0;     // of a row of values
  float* partials = nullptr;  // of the tile, or null: results go to the block's running ones
  ScoreRule rule = {};
  // Of the tile's keys and values; null: they are numbers, not codes.
  const float* key_scales = nullptr;
  const float* value_scales = nullptr;
};

template <int kWidth>
KEEL_INLINE Tile TileAt(const Work& w, int64_t index) {
  const AttentionRows& rows = *w.rows;
  const int64_t last_query = rows.first_query + rows.queries - 1;
  Tile tile;
  tile.range = Intersection({KeysOfQuery(*w.a, rows.sequence, rows.first_query).begin,
                             KeysOfQuery(*w.a, rows.sequence, last_query).end},
                            {index * rows.tile_keys, (index + 1) * rows.tile_keys});
  tile.first_key = tile.range.begin / kPanel<kWidth> * kPanel<kWidth>;
  tile.panels = PanelsOf<kWidth>(tile.range.end - tile.first_key);
  return tile;
}

// Calls f(i, row, n) for each run of keys [i, i + n) of a tile that lie in rows [row, row + n) of the cache's blocks.
template <typename F>
KEEL_INLINE void ForEachRun(const Work& w, const Tile& tile, int64_t count, const F& f) {
  const PagedAttention& a = *w.a;
  const int64_t kv_head = w.rows->first_head / (a.heads / a.kv_heads), first = tile.first_key;
  const int64_t end = std::min(count, tile.range.end - first);
  const int32_t* blocks = a.block_table + w.rows->sequence * a.max_blocks;
  for (int64_t i = tile.range.begin - first, n = 0; i < end; i += n) {
    const int64_t offset = (first + i) % a.block_size;
    n = std::min(end - i, a.block_size - offset);
    const int64_t block = blocks[(first + i) / a.block_size];
    f(i, (block * a.kv_heads + kv_head) * a.block_size + offset, n);
  }
}

// Where the `count` rows of a tile's keys are, then those of its values; those that are not there are zeros.
template <typename Storage>
KEEL_INLINE void FindRows(const Work& w, const Tile& tile, int64_t count, const Storage** keys) {
  const PagedAttention& a = *w.a;
  const AttentionRows& rows = *w.rows;
  const int64_t first = tile.first_key, begin = tile.range.begin - first;
  const int64_t end = std::min(count, tile.range.end - first);
  const Storage** values = keys + count;
  const Storage* zeros = reinterpret_cast<const Storage*>(w.scratch->zeros.Get(0));
  const Storage* k = static_cast<const Storage*>(a.k_cache);
  const Storage* v = static_cast<const Storage*>(a.v_cache);
  std::fill(keys, keys + begin, zeros);
  std::fill(values, values + begin, zeros);
  if (a.block_table == nullptr) {
    const int64_t kv_head = rows.first_head / (a.heads / a.kv_heads);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = a.cu_q[rows.sequence] + first + i;
      keys[i] = k + token * a.k_token_stride + kv_head * a.k_head_stride;
      values[i] = v + token * a.v_token_stride + kv_head * a.v_head_stride;
    }
  } else {
    const int64_t v_stride = a.v_row_stride > 0 ? a.v_row_stride : a.v_dim;
    ForEachRun(w, tile, count, [&](int64_t i, int64_t row, int64_t n) {
      for (const int64_t stop = i + n; i < stop; ++i, ++row)
        keys[i] = k + row * a.qk_dim, values[i] = v + row * v_stride;
    });
  }
  std::fill(keys + end, keys + count, zeros);
  std::fill(values + end, values + count, zeros);
}

// The scales of a tile's `count` keys, then those of its values, in the unit of Code; 0 of those that are not there.
template <typename Code>
KEEL_INLINE void FindScales(const Work& w, const Tile& tile, int64_t count, float* keys) {
  const PagedAttention& a = *w.a;
  float* values = keys + count;
  std::fill(keys, keys + 2 * count, 0.0f);
  ForEachRun(w, tile, count, [&](int64_t i, int64_t row, int64_t n) {
    for (const int64_t stop = i + n; i < stop; ++i, ++row) {
      keys[i] = a.k_scales[row] * (1 / Code::kUnit);
      values[i] = a.v_scales[row] * (1 / Code::kUnit);
    }
  });
}

// Begins to read them.
KEEL_INLINE void PrefetchScales(const Work& w, const Tile& tile, int64_t count) {
  const PagedAttention& a = *w.a;
  ForEachRun(w, tile, count, [&](int64_t, int64_t row, int64_t n) {
    for (const int64_t stop = row + n; row < stop; row += 16) {
      __builtin_prefetch(a.k_scales + row, 0, 2);
      __builtin_prefetch(a.v_scales + row, 0, 2);
    }
  });
}

// The strip of the rows from `first` on.
template <int kWidth>
KEEL_INLINE Strip FindStrip(const Work& w, const Tile& tile, int64_t first) {
  const AttentionRows& rows = *w.rows;
  Strip strip;
  strip.first = first;
  strip.count = std::min(kStripRows, rows.rows() - first);
  const int64_t first_query = rows.first_query + first / rows.heads;
  const int64_t last_query = rows.first_query + (first + strip.count - 1) / rows.heads;
  const KeyRange range = Intersection({KeysOfQuery(*w.a, rows.sequence, first_query).begin,
                                       KeysOfQuery(*w.a, rows.sequence, last_query).end},
                                      tile.range);
  if (range.empty()) return strip;
  strip.begin = (range.begin - tile.first_key) / kPanel<kWidth>;
  strip.end = PanelsOf<kWidth>(range.end - tile.first_key);
  return strip;
}

// How the rows of a tile are read: once from the first key to the last value, and a little ahead, into the next tile.
template <typename Storage>
struct Reader {
  const Storage** rows;  // keys, values, the next tile's first keys
  int64_t count;         // of keys, of values
  int64_t end;           // of all
  int64_t qk_dim, v_dim;

  // From `row` on, as many as a panel has.
  KEEL_INLINE void Ahead(int64_t row, int64_t panel) const {
    const int64_t begin = row + kAhead, stop = std::min(begin + panel, end);
    const bool is_value = begin >= count && begin < 2 * count;
    PrefetchRows(rows, begin, stop, is_value ? v_dim : qk_dim);
  }
};

// `next` is the tile after it, or empty.
template <int kWidth, typename T>
KEEL_INLINE Reader<typename T::Storage> ReadTile(Work& w, const Tile& tile, const Tile& next) {
  using Storage = typename T::Storage;
  const PagedAttention& a = *w.a;
  const int64_t count = tile.panels * kPanel<kWidth>;
  const int64_t ahead = std::min(kAhead, next.panels * kPanel<kWidth>);
  const int64_t zero_bytes = std::max(a.qk_dim, a.v_dim) * static_cast<int64_t>(sizeof(Storage));
  std::memset(w.scratch->zeros.Get(zero_bytes), 0, zero_bytes);
  const auto rows = reinterpret_cast<const Storage**>(w.scratch->kv_rows.Get(2 * (count + kAhead)));
  FindRows(w, tile, count, rows);
  if (ahead > 0) FindRows(w, next, ahead, rows + 2 * count);
  if constexpr (kIsCode<T>) {
    float* scales = w.scratch->scales.Get(2 * count);
    FindScales<T>(w, tile, count, scales);
    PrefetchScales(w, next, next.panels * kPanel<kWidth>);
    w.key_scales = scales, w.value_scales = scales + count;
  }
  return {rows, count, 2 * count + ahead, a.qk_dim, a.v_dim};
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_WORK_H_
