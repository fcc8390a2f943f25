// Rows of queries over tiles of keys: what a variant of paged attention does with its spans. The mathematics is written
// once over GCC's vector types; a variant is that code compiled for one instruction set by a target attribute. For the
// variants' .cc files only.
#ifndef KEEL_CORE_KERNELS_ATTENTION_SPAN_H_
#define KEEL_CORE_KERNELS_ATTENTION_SPAN_H_

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/kernels/attention_few_rows.h"
#include "core/kernels/attention_pack.h"
#include "core/kernels/attention_scratch.h"
#include "core/kernels/attention_split.h"
#include "core/kernels/attention_tile.h"
#include "core/kernels/attention_work.h"
#include "core/kernels/kv_codes.h"
#include "core/kernels/lanes.h"
#include "core/kernels/paged_attention.h"

namespace keel::lanes {

constexpr float kLog2E = 1.44269504f;

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
  CodeScales scales;
  if (w.key_scales != nullptr) {
    const int64_t column = strip->begin * kPanel<kWidth>;
    scales = {w.key_scales + column, w.value_scales + column};
  }
  KeyRange mine = KeysOfQuery(a, rows.sequence, query);
  for (int64_t r = 0; r < strip->count; ++r) {
    if (a.slopes != nullptr) rule.slope = a.slopes[rows.first_head + head] * kLog2E;
    const KeyRange seen = Intersection(mine, tile.range);
    SoftmaxOfRow<kWidth, kDot>(rule, columns, seen.begin - rule.first_key,
                               seen.end - rule.first_key, scales, scores + r * stride,
                               &strip->found[r].max, &strip->found[r].sum);
    // Behind the last row there may be no query.
    if (++head == rows.heads && r + 1 < strip->count)
      head = 0, mine = KeysOfQuery(a, rows.sequence, ++query);
  }
}

// What a strip gave goes where the tile's results go.
template <int kWidth, bool kDot>
KEEL_INLINE void Fold(const Work& w, float* values, const Strip& strip) {
  const PagedAttention& a = *w.a;
  for (int64_t r = 0; r < strip.count; ++r) {
    const int64_t row = strip.first + r;
    if constexpr (kDot) RestoreColumns(w.out_stride, values + r * w.out_stride);
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

// What products are made of: with kDot pairs of bf16, which codes are expanded to before.
template <typename T, bool kDot>
using Factor = std::conditional_t<kDot, BF16, T>;

// `count` rows of keys or values as they enter products; what is expanded stays until the next call.
template <typename T, bool kDot>
KEEL_INLINE const typename Factor<T, kDot>::Storage* const* FactorRows(
    const Work& w, const typename T::Storage* const* rows, int64_t count, int64_t size) {
  if constexpr (kDot && kIsCode<T>) {
    const int64_t stride = (size + 63) / 64 * 64;
    uint16_t* out = w.scratch->expanded.Get(count * stride);
    const uint16_t** expanded = w.scratch->expanded_rows.Get(count);
    for (int64_t i = 0; i < count; ++i, out += stride) {
      ExpandRow<T>(rows[i], size, out);
      expanded[i] = out;
    }
    return expanded;
  } else {
    return rows;
  }
}

// The scores of a strip with two panels of keys, or one. Few rows meet the keys in registers; more, as soon as some words
// of the keys are packed: that stays in the first-level cache, and packing, multiplying and reading overlap.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void ScorePanels(const Work& w, const typename T::Storage* const* keys, int64_t panels,
                             int64_t rows, float* scores, int64_t stride) {
  constexpr int64_t kKeys = kPanel<kWidth>, kBlock = kKeyWords<kWidth, T, kDot>;
  const int64_t size = w.a->qk_dim;
  const uint32_t* queries = w.scratch->queries.Get(0);
  const int64_t most = std::max(kBlock, w.steps->words_at_a_time);
  uint32_t* block = w.scratch->block.Get(2 * kKeys * most);
  int64_t word = 0;
  if (panels == 2 && rows <= kScoreRows && w.steps->in_registers) {
    word = w.words / kBlock * kBlock;
    if (rows == 1) {
      ScoresOfKeys<kWidth, T, kDot, 1, 2>(queries, w.words, keys, size, word, scores, stride);
    } else {
      ScoresOfKeys<kWidth, T, kDot, 2, 2>(queries, w.words, keys, size, word, scores, stride);
    }
  }
  while (word < w.words) {
    const int64_t words = std::min(most, w.words - word);
    for (int64_t p = 0; p < panels; ++p) {
      for (int64_t i = 0; i < words;) {
        i += PackKeyWords<kWidth, T, kDot>(keys + p * kKeys, size, word + i, w.words,
                                           block + (p * most + i) * kKeys);
      }
    }
    w.steps->product(queries + word, w.words, rows, block, most * kKeys, panels, words, word > 0,
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
    const auto* keys = FactorRows<T, kDot>(w, reader.rows + key, panels * kKeys, w.a->qk_dim);
    ScorePanels<kWidth, Factor<T, kDot>, kDot>(w, keys, panels, strip.count, scores + key, stride);
  }
  w.steps->weigh(w, tile, scores, stride, &strip);
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t row = reader.count + panel * kKeys;
    reader.Ahead(row, kKeys);
    const auto* value_rows = FactorRows<T, kDot>(w, reader.rows + row, kKeys, w.a->v_dim);
    AddValues<kWidth, Factor<T, kDot>, kDot>(
        w, reinterpret_cast<const uint32_t*>(scores) + panel * kWords, stride, strip.count,
        value_rows, panel > 0, values);
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
    const auto* keys = FactorRows<T, kDot>(w, reader.rows + key, kKeys, a.qk_dim);
    for (int64_t word = 0; word < w.words;) {
      word += PackKeyWords<kWidth, Factor<T, kDot>, kDot>(
          keys, a.qk_dim, word, w.words, packed_keys + key * w.words + word * kKeys);
    }
  }
  for (int64_t panel = 0; panel < tile.panels; ++panel) {
    const int64_t row = reader.count + panel * kKeys;
    reader.Ahead(row, kKeys);
    const auto* value_rows = FactorRows<T, kDot>(w, reader.rows + row, kKeys, a.v_dim);
    for (int64_t column = 0; column < w.out_stride; column += kKeys) {
      PackValuesOf<kWidth, Factor<T, kDot>, kDot>(
          value_rows, a.v_dim, column,
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
    const auto reader = ReadTile<kWidth, T>(w, tile, next);
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

// `values` over the sum of its weights.
template <int kWidth, typename T>
KEEL_INLINE void StoreValues(const float* values, float inverse, int64_t size, void* to) {
  auto* out = static_cast<typename T::Storage*>(to);
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    F32x16<kWidth> x;
    F32::LoadLanes(values + i, &x);
    T::StoreLanes(x * inverse, out + i);
  }
  for (; i < size; ++i) out[i] = T::Store(values[i] * inverse);
}

template <int kWidth>
KEEL_INLINE void StoreRow(const PagedAttention& a, const AttentionRows& rows, int64_t row,
                          const Running& running, const float* values) {
  const int64_t token = rows.first_query + row / rows.heads;
  const int64_t head = rows.first_head + row % rows.heads;
  const int64_t at = (token * a.heads + head) * a.v_dim;
  const float inverse = 1.0f / running.sum;
  switch (a.type) {
    case KernelType::kF32:
      return StoreValues<kWidth, F32>(values, inverse, a.v_dim, static_cast<float*>(a.out) + at);
    case KernelType::kBF16:
      return StoreValues<kWidth, BF16>(values, inverse, a.v_dim,
                                       static_cast<uint16_t*>(a.out) + at);
    case KernelType::kF16:
      return StoreValues<kWidth, F16>(values, inverse, a.v_dim, static_cast<_Float16*>(a.out) + at);
  }
}

template <bool kDot>
KEEL_INLINE void PackQueryOf(const PagedAttention& a, int64_t at, int64_t words, uint32_t* out) {
  if constexpr (kDot) {  // they are bf16
    PackQuery<BF16, true>(static_cast<const uint16_t*>(a.q) + at, a.qk_dim, words, out);
  } else {
    switch (a.type) {
      case KernelType::kF32:
        return PackQuery<F32, false>(static_cast<const float*>(a.q) + at, a.qk_dim, words, out);
      case KernelType::kBF16:
        return PackQuery<BF16, false>(static_cast<const uint16_t*>(a.q) + at, a.qk_dim, words, out);
      case KernelType::kF16:
        return PackQuery<F16, false>(static_cast<const _Float16*>(a.q) + at, a.qk_dim, words, out);
    }
  }
}

// Over a cache of type T.
template <int kWidth, typename T, bool kDot>
KEEL_INLINE void RunSpan(const PagedAttention& a, const AttentionRows& rows,
                         const AttentionSpan& span, const Steps& steps, float* partials) {
  Scratch& s = ThreadScratch();
  const int64_t count = rows.rows();
  Work w = {&a, &rows, &s, &steps};
  const int64_t multiple = steps.words_multiple;
  w.words = (WordsOf<kDot>(a.qk_dim) + multiple - 1) / multiple * multiple;
  w.out_stride = PanelsOf<kWidth>(a.v_dim) * kPanel<kWidth>;
  w.rule.softcap = a.softcap;
  w.rule.scale = a.scale * kLog2E;
  w.rule.is_plain = a.softcap <= 0 && a.slopes == nullptr && a.scale > 0;
  uint32_t* queries = s.queries.Get(count * w.words);
  for (int64_t row = 0; row < count; ++row) {
    const int64_t token = rows.first_query + row / rows.heads;
    const int64_t head = rows.first_head + row % rows.heads;
    PackQueryOf<kDot>(a, token * a.q_token_stride + head * a.q_head_stride, w.words,
                      queries + row * w.words);
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
    StoreRow<kWidth>(a, rows, row, running[row], out + row * a.v_dim);
}

template <int kWidth>
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
    StoreRow<kWidth>(a, rows, row, running, out);
  }
}

// Products of fp32, over a cache of any type.
template <int kWidth>
KEEL_INLINE void RunWide(const PagedAttention& a, const AttentionRows& rows,
                         const AttentionSpan& span, const Steps& steps, float* partials) {
  switch (a.kv_type) {
    case KvType::kF32:
      return RunSpan<kWidth, F32, false>(a, rows, span, steps, partials);
    case KvType::kBF16:
      return RunSpan<kWidth, BF16, false>(a, rows, span, steps, partials);
    case KvType::kF16:
      return RunSpan<kWidth, F16, false>(a, rows, span, steps, partials);
    case KvType::kFp8:
      return RunSpan<kWidth, Fp8, false>(a, rows, span, steps, partials);
    case KvType::kInt8:
      return RunSpan<kWidth, Int8, false>(a, rows, span, steps, partials);
  }
}

// The steps of a variant, compiled for `target`: ProductName, WeighName and FoldName, and a table of them.
#define KEEL_ATTENTION_STEPS(Name, kWidth, kDot, target)                                          \
  target void Product##Name(const uint32_t* a, int64_t a_stride, int64_t rows, const uint32_t* b, \
                            int64_t b_stride, int64_t panels, int64_t k, bool adds, float* c,     \
                            int64_t c_stride) {                                                   \
    lanes::Product<kWidth, kDot>(a, a_stride, rows, b, b_stride, panels, k, adds, c, c_stride);   \
  }                                                                                               \
  target void Weigh##Name(const lanes::Work& w, const lanes::Tile& tile, float* scores,           \
                          int64_t stride, lanes::Strip* strip) {                                  \
    lanes::Weigh<kWidth, kDot>(w, tile, scores, stride, strip);                                   \
  }                                                                                               \
  target void Fold##Name(const lanes::Work& w, float* values, const lanes::Strip& strip) {        \
    lanes::Fold<kWidth, kDot>(w, values, strip);                                                  \
  }                                                                                               \
  constexpr lanes::Steps kSteps##Name = {Product##Name, Weigh##Name, Fold##Name};

// A variant that multiplies in fp32: RunName and MergeName.
#define KEEL_ATTENTION_VARIANT(Name, kWidth, target)                          \
  KEEL_ATTENTION_STEPS(Name, kWidth, false, target)                           \
  target void Run##Name(const PagedAttention& a, const AttentionRows& rows,   \
                        const AttentionSpan& span, float* partials) {         \
    lanes::RunWide<kWidth>(a, rows, span, kSteps##Name, partials);            \
  }                                                                           \
  target void Merge##Name(const PagedAttention& a, const AttentionRows& rows, \
                          const float* partials) {                            \
    lanes::MergeRows<kWidth>(a, rows, partials);                              \
  }

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_ATTENTION_SPAN_H_
