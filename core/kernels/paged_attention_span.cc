// The variants: rows of queries over tiles of keys. The mathematics is written once over GCC's vector
// types; a variant is that code compiled for one instruction set by a target attribute.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/kernels/attention_few_rows.h"
#include "core/kernels/attention_pack.h"
#include "core/kernels/attention_split.h"
#include "core/kernels/attention_tile.h"
#include "core/kernels/lanes.h"
#include "core/kernels/paged_attention.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr float kLog2E = 1.44269504f;

// Rows whose scores are held at a time, so that they stay in the first-level cache.
constexpr int64_t kStripRows = 24;

// Memory that grows and stays, on a cache line's border.
template <typename T>
class Buffer {
 public:
  T* Get(int64_t count) {
    if (count > size_) {
      const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
      data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
      size_ = count;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

struct Scratch {
  Buffer<uint32_t> queries, keys, values;  // packed
  Buffer<uint32_t> block;                  // of keys or values, a few panels
  Buffer<float> scores, tile_out;          // of a strip
  Buffer<float> out;                       // of all rows, not yet divided by their sums
  Buffer<Running> running;                 // of all rows
  Buffer<const void*> kv_rows;             // of the keys of a tile, then of their values
  Buffer<char> zeros;                      // a row of keys or values that is not there
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

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
  void (*fold)(const Work&, const float* values, const Strip&);
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

// Where the `count` rows of a tile's keys are, then those of its values; those that are not there are zeros.
template <typename Storage>
KEEL_INLINE void FindRows(const Work& w, const Tile& tile, int64_t count, const Storage** keys) {
  const PagedAttention& a = *w.a;
  const AttentionRows& rows = *w.rows;
  const int64_t first = tile.first_key, end = std::min(count, tile.range.end - first);
  const Storage** values = keys + count;
  const Storage* zeros = reinterpret_cast<const Storage*>(w.scratch->zeros.Get(0));
  const Storage* k = static_cast<const Storage*>(a.k_cache);
  const Storage* v = static_cast<const Storage*>(a.v_cache);
  const int64_t kv_head = rows.first_head / (a.heads / a.kv_heads);
  int64_t i = 0;
  for (; i < tile.range.begin - first; ++i) keys[i] = values[i] = zeros;
  if (a.block_table == nullptr) {
    for (; i < end; ++i) {
      const int64_t token = a.cu_q[rows.sequence] + first + i;
      keys[i] = k + token * a.k_token_stride + kv_head * a.k_head_stride;
      values[i] = v + token * a.v_token_stride + kv_head * a.v_head_stride;
    }
  } else {
    const int64_t v_stride = a.v_row_stride > 0 ? a.v_row_stride : a.v_dim;
    const int32_t* blocks = a.block_table + rows.sequence * a.max_blocks;
    while (i < end) {
      const int64_t offset = (first + i) % a.block_size;
      const int64_t end_of_block = std::min(end, i + a.block_size - offset);
      const int64_t block = blocks[(first + i) / a.block_size];
      int64_t row = (block * a.kv_heads + kv_head) * a.block_size + offset;
      for (; i < end_of_block; ++i, ++row)
        keys[i] = k + row * a.qk_dim, values[i] = v + row * v_stride;
    }
  }
  for (; i < count; ++i) keys[i] = values[i] = zeros;
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

// The scores of a strip become weights, one row after the other.
template <int kWidth, bool kDot>
KEEL_INLINE void Weigh(const Work& w, const Tile& tile, float* scores, int64_t stride,
                       Strip* strip) {
  const PagedAttention& a = *w.a;
  const AttentionRows& rows = *w.rows;
  int64_t query = rows.first_query + strip->first / rows.heads, head = strip->first % rows.heads;
  ScoreRule rule = w.rule;
  rule.first_key = tile.first_key + strip->begin * kPanel<kWidth>;
  const int64_t columns = (strip->end - strip->begin) * kPanel<kWidth>;
  KeyRange mine = KeysOfQuery(a, rows.sequence, query);
  for (int64_t r = 0; r < strip->count; ++r) {
    if (a.slopes != nullptr) rule.slope = a.slopes[rows.first_head + head] * kLog2E;
    const KeyRange seen = Intersection(mine, tile.range);
    SoftmaxOfRow<kWidth, kDot>(rule, columns, seen.begin - rule.first_key,
                               seen.end - rule.first_key, scores + r * stride, &strip->found[r].max,
                               &strip->found[r].sum);
    if (++head == rows.heads) head = 0, mine = KeysOfQuery(a, rows.sequence, ++query);
  }
}

// What a strip gave goes where the tile's results go.
template <int kWidth>
KEEL_INLINE void Fold(const Work& w, const float* values, const Strip& strip) {
  const PagedAttention& a = *w.a;
  for (int64_t r = 0; r < strip.count; ++r) {
    const int64_t row = strip.first + r;
    if (w.partials == nullptr) {
      lanes::Fold<kWidth>(strip.found[r], values + r * w.out_stride, a.v_dim,
                          w.scratch->running.Get(0) + row, w.scratch->out.Get(0) + row * a.v_dim);
    } else {
      float* partial = w.partials + row * PartialStride(a);
      partial[0] = strip.found[r].max, partial[1] = strip.found[r].sum;
      std::memcpy(partial + 2, values + r * w.out_stride, a.v_dim * sizeof(float));
    }
  }
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
template <int kWidth, typename Storage>
KEEL_INLINE Reader<Storage> ReadTile(const Work& w, const Tile& tile, const Tile& next) {
  const PagedAttention& a = *w.a;
  const int64_t count = tile.panels * kPanel<kWidth>;
  const int64_t ahead = std::min(kAhead, next.panels * kPanel<kWidth>);
  const int64_t zero_bytes = std::max(a.qk_dim, a.v_dim) * static_cast<int64_t>(sizeof(Storage));
  std::memset(w.scratch->zeros.Get(zero_bytes), 0, zero_bytes);
  const auto rows = reinterpret_cast<const Storage**>(w.scratch->kv_rows.Get(2 * (count + kAhead)));
  FindRows(w, tile, count, rows);
  if (ahead > 0) FindRows(w, next, ahead, rows + 2 * count);
  return {rows, count, 2 * count + ahead, a.qk_dim, a.v_dim};
}

// The scores of a strip with two panels of keys, or one. Few rows meet the keys in registers; more, as soon as some words
// of the keys are packed: that stays in the first-level cache, and packing, multiplying and reading overlap.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void ScorePanels(const Work& w, const typename T::Storage* const* keys, int64_t panels,
                             int64_t rows, float* scores, int64_t stride) {
  constexpr int64_t kKeys = kPanel<kWidth>, kBlock = kKeyWords<kWidth, T, kDot>;
  const int64_t size = w.a->qk_dim;
  const uint32_t* queries = w.scratch->queries.Get(0);
  uint32_t* block = w.scratch->block.Get(2 * kKeys * kBlock);
  int64_t word = 0;
  if (panels == 2 && rows <= kScoreRows) {
    word = w.words / kBlock * kBlock;
    if (rows == 1) {
      ScoresOfKeys<kWidth, T, kDot, 1, 2>(queries, w.words, keys, size, word, scores, stride);
    } else {
      ScoresOfKeys<kWidth, T, kDot, 2, 2>(queries, w.words, keys, size, word, scores, stride);
    }
  }
  while (word < w.words) {
    int64_t words = 0;
    for (int64_t p = 0; p < panels; ++p) {
      words =
          PackKeyWords<kWidth, T, kDot>(keys + p * kKeys, size, word, block + p * kBlock * kKeys);
    }
    w.steps->product(queries + word, w.words, rows, block, kBlock * kKeys, panels, words, word > 0,
                     scores, stride);
    word += words;
  }
}

// values [rows, out_stride] = weights [rows, kPanel] times a panel's values, or (adds) += it.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void AddValues(const Work& w, const uint32_t* weights, int64_t stride, int64_t rows,
                           const typename T::Storage* const* rows_of_values, bool adds,
                           float* values) {
  constexpr int64_t kKeys = kPanel<kWidth>, kWords = kDot ? kKeys / 2 : kKeys;
  const int64_t size = w.a->v_dim;
  int64_t column = 0;
  if (!kDot && rows <= 2 * kValueRows) {
    column = size / kKeys * kKeys;
    const int64_t first = rows <= kValueRows ? rows : (rows + 1) / 2;
    SumsOfRows<kWidth, T>(weights, stride, first, rows_of_values, column, adds, values,
                          w.out_stride);
    if (first < rows) {
      SumsOfRows<kWidth, T>(weights + first * stride, stride, rows - first, rows_of_values, column,
                            adds, values + first * w.out_stride, w.out_stride);
    }
  }
  uint32_t* block = w.scratch->block.Get(2 * kWords * kKeys);
  for (; column < w.out_stride; column += 2 * kKeys) {
    const int64_t panels = std::min<int64_t>(2, (w.out_stride - column) / kKeys);
    for (int64_t p = 0; p < panels; ++p) {
      PackValuesOf<kWidth, T, kDot>(rows_of_values, size, column + p * kKeys,
                                    block + p * kWords * kKeys);
    }
    w.steps->product(weights, stride, rows, block, kWords * kKeys, panels, kWords, adds,
                     values + column, w.out_stride);
  }
}

// A tile whose rows are one strip: they meet keys and values panel by panel.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void TakeTileByPanels(const Work& w, const Tile& tile,
                                  const Reader<typename T::Storage>& reader) {
  constexpr int64_t kKeys = kPanel<kWidth>, kWords = kDot ? kKeys / 2 : kKeys;  // of a panel
  Scratch& s = *w.scratch;
  Strip strip = FindStrip<kWidth>(w, tile, 0);
  const int64_t stride = reader.count + 16;
  float* scores = s.scores.Get(kStripRows * stride);
  float* values = s.tile_out.Get(kStripRows * w.out_stride);
  for (int64_t panel = 0; panel < tile.panels; panel += 2) {
    const int64_t panels = std::min<int64_t>(2, tile.panels - panel), key = panel * kKeys;
    reader.Ahead(key, panels * kKeys);
    ScorePanels<kWidth, T, kDot>(w, reader.rows + key, panels, strip.count, scores + key, stride);
  }
  w.steps->weigh(w, tile, scores, stride, &strip);
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t row = reader.count + panel * kKeys;
    reader.Ahead(row, kKeys);
    AddValues<kWidth, T, kDot>(w, reinterpret_cast<const uint32_t*>(scores) + panel * kWords,
                               stride, strip.count, reader.rows + row, panel > 0, values);
  }
  w.steps->fold(w, values, strip);
}

// A tile of many rows: it is packed once for all their strips.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void TakeTileByStrips(const Work& w, const Tile& tile,
                                  const Reader<typename T::Storage>& reader) {
  constexpr int64_t kKeys = kPanel<kWidth>, kWords = kDot ? kKeys / 2 : kKeys;
  const PagedAttention& a = *w.a;
  Scratch& s = *w.scratch;
  const int64_t stride = reader.count + 16, column_stride = tile.panels * kWords * kKeys;
  float* scores = s.scores.Get(kStripRows * stride);
  float* values = s.tile_out.Get(kStripRows * w.out_stride);
  uint32_t* packed_keys = s.keys.Get(reader.count * w.words);
  uint32_t* packed_values = s.values.Get(tile.panels * kWords * w.out_stride);
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t key = panel * kKeys;
    reader.Ahead(key, kKeys);
    for (int64_t word = 0; word < w.words;) {
      word += PackKeyWords<kWidth, T, kDot>(reader.rows + key, a.qk_dim, word,
                                            packed_keys + key * w.words + word * kKeys);
    }
  }
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t row = reader.count + panel * kKeys;
    reader.Ahead(row, kKeys);
    for (int64_t column = 0; column < w.out_stride; column += kKeys) {
      PackValuesOf<kWidth, T, kDot>(
          reader.rows + row, a.v_dim, column,
          packed_values + column / kKeys * column_stride + panel * kWords * kKeys);
    }
  }
  for (int64_t row = 0; row < w.rows->rows(); row += kStripRows) {
    Strip strip = FindStrip<kWidth>(w, tile, row);
    if (strip.begin == strip.end) {
      for (int64_t r = 0; w.partials != nullptr && r < strip.count; ++r)
        w.partials[(row + r) * PartialStride(a)] = kNoScore;
      continue;
    }
    w.steps->product(s.queries.Get(0) + row * w.words, w.words, strip.count,
                     packed_keys + strip.begin * kKeys * w.words, kKeys * w.words,
                     strip.end - strip.begin, w.words, false, scores, stride);
    w.steps->weigh(w, tile, scores, stride, &strip);
    w.steps->product(reinterpret_cast<const uint32_t*>(scores), stride, strip.count,
                     packed_values + strip.begin * kWords * kKeys, column_stride,
                     w.out_stride / kKeys, (strip.end - strip.begin) * kWords, false, values,
                     w.out_stride);
    w.steps->fold(w, values, strip);
  }
}

// The tiles [first, end) of a block of rows, each with what `begin` makes ready for it.
template <int kWidth, typename T, bool kDot, typename Begin>
KEEL_INLINE void TakeTiles(Work& w, int64_t first, int64_t end, const Begin& begin) {
  Tile tile = TileAt<kWidth>(w, first);
  for (int64_t index = first; index < end; ++index) {
    const Tile next = index + 1 < end ? TileAt<kWidth>(w, index + 1) : Tile();
    const auto reader = ReadTile<kWidth, typename T::Storage>(w, tile, next);
    if (index == first) PrefetchRows(reader.rows, 0, std::min(kAhead, reader.count), w.a->qk_dim);
    begin(index);
    if (w.rows->rows() <= kStripRows) {
      TakeTileByPanels<kWidth, T, kDot>(w, tile, reader);
    } else {
      TakeTileByStrips<kWidth, T, kDot>(w, tile, reader);
    }
    tile = next;
  }
}

// What a row begins with.
KEEL_INLINE Running Start(const PagedAttention& a, const AttentionRows& rows, int64_t row) {
  if (a.sinks == nullptr) return {kNoScore, 0};
  return {a.sinks[rows.first_head + row % rows.heads] * kLog2E, 1};
}

template <int kWidth, typename T>
KEEL_INLINE void StoreRow(const PagedAttention& a, const AttentionRows& rows, int64_t row,
                          const Running& running, const float* values) {
  const int64_t token = rows.first_query + row / rows.heads;
  const int64_t head = rows.first_head + row % rows.heads;
  auto* out = static_cast<typename T::Storage*>(a.out) + (token * a.heads + head) * a.v_dim;
  const float inverse = 1.0f / running.sum;
  int64_t i = 0;
  for (; i + kLanes <= a.v_dim; i += kLanes) {
    F32x16<kWidth> x;
    F32::LoadLanes(values + i, &x);
    T::StoreLanes(x * inverse, out + i);
  }
  for (; i < a.v_dim; ++i) out[i] = T::Store(values[i] * inverse);
}

template <int kWidth, typename T, bool kDot>
KEEL_INLINE void RunSpan(const PagedAttention& a, const AttentionRows& rows,
                         const AttentionSpan& span, const Steps& steps, float* partials) {
  using Storage = typename T::Storage;
  Scratch& s = ThreadScratch();
  const int64_t count = rows.rows();
  Work w = {&a, &rows, &s, &steps};
  w.words = WordsOf<kDot>(a.qk_dim);
  w.out_stride = PanelsOf<kWidth>(a.v_dim) * kPanel<kWidth>;
  w.rule.softcap = a.softcap;
  w.rule.scale = a.scale * kLog2E;
  w.rule.is_plain = a.softcap <= 0 && a.slopes == nullptr && a.scale > 0;
  uint32_t* queries = s.queries.Get(count * w.words);
  for (int64_t row = 0; row < count; ++row) {
    const int64_t token = rows.first_query + row / rows.heads;
    const int64_t head = rows.first_head + row % rows.heads;
    PackQuery<T, kDot>(
        static_cast<const Storage*>(a.q) + token * a.q_token_stride + head * a.q_head_stride,
        a.qk_dim, queries + row * w.words);
  }
  const bool is_part = span.tiles < rows.tiles;
  Running* running = s.running.Get(count);
  float* out = s.out.Get(count * a.v_dim);
  if (!is_part) {
    std::fill(out, out + count * a.v_dim, 0.0f);
    for (int64_t row = 0; row < count; ++row) running[row] = Start(a, rows, row);
  }
  TakeTiles<kWidth, T, kDot>(w, span.first_tile, span.first_tile + span.tiles, [&](int64_t tile) {
    if (is_part)
      w.partials = partials + rows.partials + (tile - rows.first_tile) * count * PartialStride(a);
  });
  if (is_part) return;
  for (int64_t row = 0; row < count; ++row)
    StoreRow<kWidth, T>(a, rows, row, running[row], out + row * a.v_dim);
}

template <int kWidth, typename T>
KEEL_INLINE void MergeRows(const PagedAttention& a, const AttentionRows& rows,
                           const float* partials) {
  float* out = ThreadScratch().out.Get(a.v_dim);
  const int64_t stride = PartialStride(a);
  for (int64_t row = 0; row < rows.rows(); ++row) {
    std::fill(out, out + a.v_dim, 0.0f);
    Running running = Start(a, rows, row);
    for (int64_t tile = 0; tile < rows.tiles; ++tile) {
      const float* partial = partials + rows.partials + (tile * rows.rows() + row) * stride;
      lanes::Fold<kWidth>({partial[0], partial[1]}, partial + 2, a.v_dim, &running, out);
    }
    StoreRow<kWidth, T>(a, rows, row, running, out);
  }
}

template <int kWidth>
KEEL_INLINE void Run(const PagedAttention& a, const AttentionRows& rows, const AttentionSpan& span,
                     const Steps& steps, float* partials) {
  switch (a.type) {
    case KernelType::kF32:
      return RunSpan<kWidth, F32, false>(a, rows, span, steps, partials);
    case KernelType::kBF16:
      return RunSpan<kWidth, BF16, false>(a, rows, span, steps, partials);
    case KernelType::kF16:
      return RunSpan<kWidth, F16, false>(a, rows, span, steps, partials);
  }
}

template <int kWidth>
KEEL_INLINE void Merge(const PagedAttention& a, const AttentionRows& rows, const float* partials) {
  switch (a.type) {
    case KernelType::kF32:
      return MergeRows<kWidth, F32>(a, rows, partials);
    case KernelType::kBF16:
      return MergeRows<kWidth, BF16>(a, rows, partials);
    case KernelType::kF16:
      return MergeRows<kWidth, F16>(a, rows, partials);
  }
}

// The steps of a variant, compiled for `target`.
#define KEEL_ATTENTION_STEPS(Name, kWidth, kDot, target)                                          \
  target void Product##Name(const uint32_t* a, int64_t a_stride, int64_t rows, const uint32_t* b, \
                            int64_t b_stride, int64_t panels, int64_t k, bool adds, float* c,     \
                            int64_t c_stride) {                                                   \
    Product<kWidth, kDot>(a, a_stride, rows, b, b_stride, panels, k, adds, c, c_stride);          \
  }                                                                                               \
  target void Weigh##Name(const Work& w, const Tile& tile, float* scores, int64_t stride,         \
                          Strip* strip) {                                                         \
    Weigh<kWidth, kDot>(w, tile, scores, stride, strip);                                          \
  }                                                                                               \
  target void Fold##Name(const Work& w, const float* values, const Strip& strip) {                \
    Fold<kWidth>(w, values, strip);                                                               \
  }                                                                                               \
  constexpr Steps kSteps##Name = {Product##Name, Weigh##Name, Fold##Name};

// A variant that multiplies in fp32.
#define KEEL_ATTENTION_VARIANT(Name, kWidth, target)                          \
  KEEL_ATTENTION_STEPS(Name, kWidth, false, target)                           \
  target void Run##Name(const PagedAttention& a, const AttentionRows& rows,   \
                        const AttentionSpan& span, float* partials) {         \
    Run<kWidth>(a, rows, span, kSteps##Name, partials);                       \
  }                                                                           \
  target void Merge##Name(const PagedAttention& a, const AttentionRows& rows, \
                          const float* partials) {                            \
    Merge<kWidth>(a, rows, partials);                                         \
  }

KEEL_ATTENTION_VARIANT(Plain, 4, )
#if defined(__x86_64__)
KEEL_ATTENTION_VARIANT(Avx2, 8, KEEL_TARGET_AVX2)
KEEL_ATTENTION_VARIANT(Avx512, 16, KEEL_TARGET_AVX512)

// Multiplies bf16 as pairs: queries, keys and values as they are, weights rounded. Other types go the
// way of avx512.
#define KEEL_TARGET_AVX512_BF16 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
KEEL_ATTENTION_STEPS(Pairs, 16, true, KEEL_TARGET_AVX512_BF16)
KEEL_TARGET_AVX512_BF16 void RunPairs(const PagedAttention& a, const AttentionRows& rows,
                                      const AttentionSpan& span, float* partials) {
  RunSpan<16, BF16, true>(a, rows, span, kStepsPairs, partials);
}
void RunAvx512Bf16(const PagedAttention& a, const AttentionRows& rows, const AttentionSpan& span,
                   float* partials) {
  if (a.type == KernelType::kBF16) return RunPairs(a, rows, span, partials);
  RunAvx512(a, rows, span, partials);
}
#endif

}  // namespace

std::vector<PagedAttentionVariant> PagedAttentionVariants(const CpuFeatures& cpu) {
  std::vector<PagedAttentionVariant> variants = {{"plain", RunPlain, MergePlain}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", RunAvx2, MergeAvx2});
  if (cpu.avx512) variants.push_back({"avx512", RunAvx512, MergeAvx512});
  if (cpu.avx512_bf16) variants.push_back({"avx512_bf16", RunAvx512Bf16, MergeAvx512});
#else
  (void)cpu;
#endif
  return variants;
}

}  // namespace keel
