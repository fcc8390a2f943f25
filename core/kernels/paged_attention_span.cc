// The variants: rows of queries over tiles of keys. The mathematics is written once over GCC's vector
// types; a variant is that code compiled for one instruction set by a target attribute.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

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

// What is done with a strip, in this order. Scores and values can be had panel by panel.
enum class Step { kScores, kWeights, kValues, kFold };

// One block of rows on its way through its tiles.
struct Work {
  using TakeStep = void (*)(Step, const Work&, const Tile&, int64_t begin, int64_t end, Strip*);

  const PagedAttention* a;
  const AttentionRows* rows;
  Scratch* scratch;
  TakeStep take;
  int64_t words = 0;          // of a packed query
  int64_t out_stride = 0;     // of a row of values
  float* partials = nullptr;  // of the tile, or null: results go to the block's running ones
  ScoreRule rule = {};
};

// Where the rows of a tile's keys are; those that are not there are zeros.
template <typename T>
KEEL_INLINE void FindRows(const PagedAttention& a, const AttentionRows& rows, const Tile& tile,
                          int64_t panel, Scratch* s) {
  using Storage = typename T::Storage;
  const int64_t first = tile.first_key, count = tile.panels * panel;
  const KeyRange& range = tile.range;
  const Storage** keys = reinterpret_cast<const Storage**>(s->kv_rows.Get(2 * count));
  const Storage** values = keys + count;
  const int64_t zero_bytes = std::max(a.qk_dim, a.v_dim) * static_cast<int64_t>(sizeof(Storage));
  char* zero_memory = s->zeros.Get(zero_bytes);
  std::memset(zero_memory, 0, zero_bytes);
  const Storage* zeros = reinterpret_cast<const Storage*>(zero_memory);
  const Storage* k = static_cast<const Storage*>(a.k_cache);
  const Storage* v = static_cast<const Storage*>(a.v_cache);
  const int64_t kv_head = rows.first_head / (a.heads / a.kv_heads);
  int64_t i = 0;
  for (; i < range.begin - first; ++i) keys[i] = values[i] = zeros;
  if (a.block_table == nullptr) {
    for (; i < range.end - first; ++i) {
      const int64_t token = a.cu_q[rows.sequence] + first + i;
      keys[i] = k + token * a.k_token_stride + kv_head * a.k_head_stride;
      values[i] = v + token * a.v_token_stride + kv_head * a.v_head_stride;
    }
  } else {
    const int64_t v_stride = a.v_row_stride > 0 ? a.v_row_stride : a.v_dim;
    const int32_t* blocks = a.block_table + rows.sequence * a.max_blocks;
    while (i < range.end - first) {
      const int64_t offset = (first + i) % a.block_size;
      const int64_t end = std::min(range.end - first, i + a.block_size - offset);
      const int64_t block = blocks[(first + i) / a.block_size];
      int64_t row = (block * a.kv_heads + kv_head) * a.block_size + offset;
      for (; i < end; ++i, ++row) keys[i] = k + row * a.qk_dim, values[i] = v + row * v_stride;
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
KEEL_INLINE void WeighStrip(const Work& w, const Tile& tile, float* scores, int64_t stride,
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
KEEL_INLINE void FoldStrip(const Work& w, const float* values, const Strip& strip) {
  const PagedAttention& a = *w.a;
  for (int64_t r = 0; r < strip.count; ++r) {
    const int64_t row = strip.first + r;
    if (w.partials == nullptr) {
      Fold<kWidth>(strip.found[r], values + r * w.out_stride, a.v_dim,
                   w.scratch->running.Get(0) + row, w.scratch->out.Get(0) + row * a.v_dim);
    } else {
      float* partial = w.partials + row * PartialStride(a);
      partial[0] = strip.found[r].max, partial[1] = strip.found[r].sum;
      std::memcpy(partial + 2, values + r * w.out_stride, a.v_dim * sizeof(float));
    }
  }
}

// A step of a strip, over the panels [begin, end) of the tile.
template <int kWidth, bool kDot>
KEEL_INLINE void TakeStep(Step step, const Work& w, const Tile& tile, int64_t begin, int64_t end,
                          Strip* strip) {
  constexpr int64_t kKeys = kPanel<kWidth>, kWords = kDot ? kKeys / 2 : kKeys;  // of a panel
  Scratch& s = *w.scratch;
  const int64_t stride = tile.panels * kKeys + 16;
  float* scores = s.scores.Get(kStripRows * stride);
  float* values = s.tile_out.Get(kStripRows * w.out_stride);
  const int64_t done = begin - strip->begin;
  switch (step) {
    case Step::kScores:
      return Product<kWidth, kDot>(s.queries.Get(0) + strip->first * w.words, w.words, strip->count,
                                   s.keys.Get(0) + begin * kKeys * w.words, kKeys * w.words,
                                   end - begin, w.words, false, scores + done * kKeys, stride);
    case Step::kWeights:
      return WeighStrip<kWidth, kDot>(w, tile, scores, stride, strip);
    case Step::kValues:
      return Product<kWidth, kDot>(reinterpret_cast<const uint32_t*>(scores) + done * kWords,
                                   stride, strip->count, s.values.Get(0) + begin * kWords * kKeys,
                                   tile.panels * kWords * kKeys, PanelsOf<kWidth>(w.a->v_dim),
                                   (end - begin) * kWords, done > 0, values, w.out_stride);
    case Step::kFold:
      return FoldStrip<kWidth>(w, values, *strip);
  }
}

template <int kWidth, typename T, bool kDot>
KEEL_INLINE void TakeTile(const Work& w, int64_t index) {
  using Storage = typename T::Storage;
  constexpr int64_t kKeys = kPanel<kWidth>, kWords = kDot ? kKeys / 2 : kKeys;
  const PagedAttention& a = *w.a;
  const AttentionRows& rows = *w.rows;
  Scratch& s = *w.scratch;
  const int64_t last_query = rows.first_query + rows.queries - 1;
  Tile tile;
  tile.range = Intersection({KeysOfQuery(a, rows.sequence, rows.first_query).begin,
                             KeysOfQuery(a, rows.sequence, last_query).end},
                            {index * rows.tile_keys, (index + 1) * rows.tile_keys});
  tile.first_key = tile.range.begin / kKeys * kKeys;
  tile.panels = PanelsOf<kWidth>(tile.range.end - tile.first_key);
  FindRows<T>(a, rows, tile, kKeys, &s);
  const auto* kv_rows = reinterpret_cast<const Storage* const*>(s.kv_rows.Get(0));
  const int64_t count = tile.panels * kKeys;
  uint32_t* keys = s.keys.Get(count * w.words);
  uint32_t* values = s.values.Get(tile.panels * kWords * w.out_stride);
  // One strip meets each panel as soon as that is packed: reading goes on while it is multiplied.
  Strip strip = FindStrip<kWidth>(w, tile, 0);
  const bool is_one = rows.rows() <= kStripRows;
  PrefetchRows(kv_rows, 0, std::min(kAhead, 2 * count), a.qk_dim);
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t ahead = panel * kKeys + kAhead;
    PrefetchRows(kv_rows, ahead, std::min(ahead + kKeys, 2 * count), a.qk_dim);
    PackKeys<kWidth, T, kDot>(kv_rows + panel * kKeys, a.qk_dim, keys + panel * kKeys * w.words);
    if (is_one) w.take(Step::kScores, w, tile, panel, panel + 1, &strip);
  }
  if (is_one) w.take(Step::kWeights, w, tile, 0, tile.panels, &strip);
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t row = count + panel * kKeys, ahead = row + kAhead;
    PrefetchRows(kv_rows, ahead, std::min(ahead + kKeys, 2 * count), a.v_dim);
    if constexpr (kDot) {
      PackValuePairs(kv_rows + row, a.v_dim, tile.panels * kWords, values + panel * kWords * kKeys);
    } else {
      PackValues<kWidth, T>(kv_rows + row, a.v_dim, tile.panels * kWords,
                            values + panel * kWords * kKeys);
    }
    if (is_one) w.take(Step::kValues, w, tile, panel, panel + 1, &strip);
  }
  if (is_one) return w.take(Step::kFold, w, tile, 0, tile.panels, &strip);
  for (int64_t row = 0; row < rows.rows(); row += kStripRows) {
    strip = FindStrip<kWidth>(w, tile, row);
    if (strip.begin == strip.end) {
      for (int64_t r = 0; w.partials != nullptr && r < strip.count; ++r)
        w.partials[(row + r) * PartialStride(a)] = kNoScore;
      continue;
    }
    for (Step step : {Step::kScores, Step::kWeights, Step::kValues, Step::kFold})
      w.take(step, w, tile, strip.begin, strip.end, &strip);
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
                         const AttentionSpan& span, Work::TakeStep take, float* partials) {
  using Storage = typename T::Storage;
  Scratch& s = ThreadScratch();
  const int64_t count = rows.rows();
  Work w = {&a, &rows, &s, take};
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
  if (span.tiles < rows.tiles) {
    for (int64_t i = 0; i < span.tiles; ++i) {
      const int64_t tile = span.first_tile + i;
      w.partials = partials + rows.partials + (tile - rows.first_tile) * count * PartialStride(a);
      TakeTile<kWidth, T, kDot>(w, tile);
    }
    return;
  }
  Running* running = s.running.Get(count);
  float* out = s.out.Get(count * a.v_dim);
  std::fill(out, out + count * a.v_dim, 0.0f);
  for (int64_t row = 0; row < count; ++row) running[row] = Start(a, rows, row);
  for (int64_t i = 0; i < span.tiles; ++i) TakeTile<kWidth, T, kDot>(w, span.first_tile + i);
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
      Fold<kWidth>({partial[0], partial[1]}, partial + 2, a.v_dim, &running, out);
    }
    StoreRow<kWidth, T>(a, rows, row, running, out);
  }
}

template <int kWidth>
KEEL_INLINE void Run(const PagedAttention& a, const AttentionRows& rows, const AttentionSpan& span,
                     Work::TakeStep take, float* partials) {
  switch (a.type) {
    case KernelType::kF32:
      return RunSpan<kWidth, F32, false>(a, rows, span, take, partials);
    case KernelType::kBF16:
      return RunSpan<kWidth, BF16, false>(a, rows, span, take, partials);
    case KernelType::kF16:
      return RunSpan<kWidth, F16, false>(a, rows, span, take, partials);
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

// A variant that multiplies in fp32, compiled for `target`.
#define KEEL_ATTENTION_VARIANT(Name, kWidth, target)                                             \
  target void Take##Name(Step step, const Work& w, const Tile& tile, int64_t begin, int64_t end, \
                         Strip* strip) {                                                         \
    TakeStep<kWidth, false>(step, w, tile, begin, end, strip);                                   \
  }                                                                                              \
  target void Run##Name(const PagedAttention& a, const AttentionRows& rows,                      \
                        const AttentionSpan& span, float* partials) {                            \
    Run<kWidth>(a, rows, span, Take##Name, partials);                                            \
  }                                                                                              \
  target void Merge##Name(const PagedAttention& a, const AttentionRows& rows,                    \
                          const float* partials) {                                               \
    Merge<kWidth>(a, rows, partials);                                                            \
  }

KEEL_ATTENTION_VARIANT(Plain, 4, )
#if defined(__x86_64__)
KEEL_ATTENTION_VARIANT(Avx2, 8, KEEL_TARGET_AVX2)
KEEL_ATTENTION_VARIANT(Avx512, 16, KEEL_TARGET_AVX512)

// Multiplies bf16 as pairs: queries, keys and values as they are, weights rounded. Other types go the
// way of avx512.
#define KEEL_TARGET_AVX512_BF16 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
KEEL_TARGET_AVX512_BF16 void TakePairs(Step step, const Work& w, const Tile& tile, int64_t begin,
                                       int64_t end, Strip* strip) {
  TakeStep<16, true>(step, w, tile, begin, end, strip);
}
KEEL_TARGET_AVX512_BF16 void RunPairs(const PagedAttention& a, const AttentionRows& rows,
                                      const AttentionSpan& span, float* partials) {
  RunSpan<16, BF16, true>(a, rows, span, TakePairs, partials);
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
