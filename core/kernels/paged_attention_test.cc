// Every variant against softmax(q k^T) v in fp64, on caches whose blocks are scattered and whose unused
// slots are NaN, and a query's bits whatever is beside it.
#include "core/kernels/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/attention_groups.h"
#include "core/kernels/kv_codes.h"
#include "core/kernels/kv_type.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

struct Sequence {
  int64_t keys, queries;
};

struct Layer {
  int64_t heads = 4, kv_heads = 2, qk_dim = 16, v_dim = 16, block_size = 16;
  int64_t window = 0, chunk = 0;
  float softcap = 0;
  bool slopes = false, sinks = false, causal = true, blocks = true;
  int32_t group = 0;  // every second run of so many tokens of a step sees itself whole; 0: none
  int64_t v_row_stride = 0;
  KernelType type = KernelType::kF32;
  KvType kv_type = KvType::kF32;
};

// Types of queries and of the cache that are tried.
struct Types {
  KernelType type;
  KvType kv_type;
};
constexpr Types kTypes[] = {
    {KernelType::kF32, KvType::kF32},  {KernelType::kBF16, KvType::kBF16},
    {KernelType::kF16, KvType::kF16},  {KernelType::kF32, KvType::kBF16},
    {KernelType::kF16, KvType::kFp8},  {KernelType::kF32, KvType::kInt8},
    {KernelType::kBF16, KvType::kFp8}, {KernelType::kBF16, KvType::kInt8},
};
bool IsPlain(const Types& types) { return types.kv_type == KvTypeOf(types.type); }

// Codes that a number of 1 has about; what their row's scale undoes.
constexpr double kCodesOfOne = 25;

// Numbers of a type, as their storage and as what that holds, codes without their scale.
class Numbers {
 public:
  Numbers(KvType type, int64_t count) : type_(type), bytes_(count * BytesOf(type)) {}
  Numbers(KernelType type, int64_t count) : Numbers(KvTypeOf(type), count) {}

  void Set(int64_t i, double x) {
    const auto code = static_cast<float>(std::clamp(x * kCodesOfOne, -127.0, 127.0));
    switch (type_) {
      case KvType::kF32:
        return Put(i, static_cast<float>(x));
      case KvType::kF16:
        return Put(i, static_cast<_Float16>(x));
      case KvType::kBF16:
        return Put(i, lanes::BF16::Store(static_cast<float>(x)));
      case KvType::kFp8:
        return Put(i, lanes::Fp8::Store(code));
      case KvType::kInt8:
        return Put(i, lanes::Int8::Store(code));
    }
  }
  double Get(int64_t i) const {
    if (type_ == KvType::kF32) return Take<float>(i);
    if (type_ == KvType::kF16) return static_cast<double>(Take<_Float16>(i));
    if (type_ == KvType::kFp8) return lanes::Fp8::Load(Take<uint8_t>(i)) / lanes::Fp8::kUnit;
    if (type_ == KvType::kInt8) return lanes::Int8::Load(Take<int8_t>(i));
    const uint16_t bits = Take<uint16_t>(i);
    return lanes::BF16::Load(&bits);
  }
  std::vector<double> Doubles() const {
    std::vector<double> x(size());
    for (int64_t i = 0; i < size(); ++i) x[i] = Get(i);
    return x;
  }
  int64_t size() const { return static_cast<int64_t>(bytes_.size()) / BytesOf(type_); }
  char* data() { return bytes_.data(); }
  bool SameBits(const Numbers& other, int64_t from, int64_t other_from, int64_t count) const {
    const int64_t size = BytesOf(type_);
    return std::memcmp(bytes_.data() + from * size, other.bytes_.data() + other_from * size,
                       count * size) == 0;
  }

 private:
  static int64_t BytesOf(KvType type) { return type == KvType::kF32 ? 4 : HasScales(type) ? 1 : 2; }
  template <typename X>
  void Put(int64_t i, X x) {
    std::memcpy(bytes_.data() + i * sizeof(x), &x, sizeof(x));
  }
  template <typename X>
  X Take(int64_t i) const {
    X x;
    std::memcpy(&x, bytes_.data() + i * sizeof(x), sizeof(x));
    return x;
  }

  KvType type_;
  std::vector<char> bytes_;
};

// A step over a random cache. A sequence's numbers follow from its place in `seeds` alone.
struct Step {
  Layer layer;
  std::vector<Sequence> sequences;
  std::vector<int32_t> table, seq_lens, cu_q = {0}, groups;
  int64_t max_blocks = 0, value_stride;
  Numbers q, k, v;
  std::vector<double> q_values, k_values, v_values;
  std::vector<float> k_scales, v_scales;  // of rows; of types without scales 1
  std::vector<float> slopes, sinks;

  Step(const Layer& layer_in, std::vector<Sequence> sequences_in, std::vector<int> seeds = {})
      : layer(layer_in),
        sequences(std::move(sequences_in)),
        value_stride(layer.v_row_stride > 0 ? layer.v_row_stride : layer.v_dim),
        q(layer.type, 0),
        k(layer.kv_type, 0),
        v(layer.kv_type, 0) {
    int64_t blocks = 3;
    for (const Sequence& s : sequences) {
      cu_q.push_back(cu_q.back() + static_cast<int32_t>(s.queries));
      seq_lens.push_back(static_cast<int32_t>(s.keys));
      const int64_t own = (s.keys + layer.block_size - 1) / layer.block_size;
      max_blocks = std::max(max_blocks, own + 1);
      blocks += own;
    }
    std::vector<int32_t> order(blocks);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    table.assign(max_blocks * sequences.size(), order.back());
    const int64_t rows = layer.blocks ? blocks * layer.block_size : cu_q.back();
    q = Numbers(layer.type, cu_q.back() * layer.heads * layer.qk_dim);
    k = Numbers(layer.kv_type, rows * layer.kv_heads * layer.qk_dim);
    v = Numbers(layer.kv_type, rows * layer.kv_heads * value_stride);
    const bool has_scales = HasScales(layer.kv_type);
    k_scales.assign(rows * layer.kv_heads, has_scales ? std::nanf("") : 1);
    v_scales = k_scales;
    for (int64_t i = 0; i < k.size(); ++i) k.Set(i, has_scales ? 7 : std::nan(""));
    for (int64_t i = 0; i < v.size(); ++i) v.Set(i, has_scales ? 7 : std::nan(""));
    size_t next = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      for (int64_t j = 0; j < sequences[s].keys; j += layer.block_size)
        table[s * max_blocks + j / layer.block_size] = order[next++];
      Fill(static_cast<int64_t>(s), seeds.empty() ? static_cast<int>(s) + 7 : seeds[s]);
      for (int32_t i = 0; i < sequences[s].queries; ++i) {
        const int32_t run = layer.group > 0 ? i / layer.group : 0;
        groups.push_back(run % 2 == 1 ? run : -1);
      }
    }
    q_values = q.Doubles(), k_values = k.Doubles(), v_values = v.Doubles();
    for (size_t i = 0; i < k_values.size(); ++i) k_values[i] *= k_scales[i / layer.qk_dim];
    for (size_t i = 0; i < v_values.size(); ++i) v_values[i] *= v_scales[i / value_stride];
    std::mt19937 random(3);
    for (int64_t h = 0; h < layer.heads; ++h) {
      slopes.push_back(0.2f * static_cast<float>(random() % 1000) / 1000);
      sinks.push_back(static_cast<float>(random() % 1000) / 500 - 1);
    }
  }

  void Fill(int64_t s, int seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t j = 0; j < sequences[s].keys; ++j) {
      for (int64_t h = 0; h < layer.kv_heads; ++h) {
        for (int64_t i = 0; i < layer.qk_dim; ++i)
          k.Set(Row(s, j, h) * layer.qk_dim + i, normal(random));
        for (int64_t i = 0; i < layer.v_dim; ++i)
          v.Set(Row(s, j, h) * value_stride + i, normal(random));
        if (!HasScales(layer.kv_type)) continue;
        for (std::vector<float>* scales : {&k_scales, &v_scales}) {
          const float part = static_cast<float>(random() % 1000) / 1000;
          (*scales)[Row(s, j, h)] = (0.3f + part) / static_cast<float>(kCodesOfOne);
        }
      }
    }
    // Its last queries are the same whatever their number.
    for (int64_t i = 1; i <= sequences[s].queries; ++i) {
      const int64_t at = (cu_q[s + 1] - i) * layer.heads * layer.qk_dim;
      for (int64_t x = 0; x < layer.heads * layer.qk_dim; ++x) q.Set(at + x, normal(random));
    }
  }

  int64_t Row(int64_t s, int64_t j, int64_t h) const {
    if (!layer.blocks) return (cu_q[s] + j) * layer.kv_heads + h;
    const int64_t block = table[s * max_blocks + j / layer.block_size];
    return (block * layer.kv_heads + h) * layer.block_size + j % layer.block_size;
  }

  Numbers Run(const PagedAttentionVariant& variant) {
    Numbers out(layer.type, cu_q.back() * layer.heads * layer.v_dim);
    PagedAttention a;
    a.type = layer.type, a.kv_type = layer.kv_type;
    a.k_scales = k_scales.data(), a.v_scales = v_scales.data();
    a.q = q.data(), a.q_token_stride = layer.heads * layer.qk_dim, a.q_head_stride = layer.qk_dim;
    a.k_cache = k.data(), a.v_cache = v.data(), a.out = out.data();
    a.v_row_stride = layer.v_row_stride;
    a.heads = layer.heads, a.kv_heads = layer.kv_heads;
    a.qk_dim = layer.qk_dim, a.v_dim = layer.v_dim, a.block_size = layer.block_size;
    if (layer.blocks) {
      a.block_table = table.data(), a.max_blocks = max_blocks, a.seq_lens = seq_lens.data();
    } else {
      a.k_token_stride = layer.kv_heads * layer.qk_dim, a.k_head_stride = layer.qk_dim;
      a.v_token_stride = layer.kv_heads * value_stride, a.v_head_stride = value_stride;
    }
    a.cu_q = cu_q.data(), a.num_sequences = static_cast<int64_t>(sequences.size());
    a.causal = layer.causal;
    a.scale = 1 / std::sqrt(static_cast<float>(layer.qk_dim));
    a.softcap = layer.softcap, a.window = layer.window, a.chunk = layer.chunk;
    if (layer.slopes) a.slopes = slopes.data();
    if (layer.sinks) a.sinks = sinks.data();
    std::vector<int32_t> rows;
    if (layer.group > 0 && FindGroupRows(groups.data(), cu_q.data(), a.num_sequences, &rows))
      a.group_rows = rows.data();
    RunPagedAttention(a, variant);
    return out;
  }

  // One query and head, key by key, in fp64.
  std::vector<double> Expected(int64_t s, int64_t token, int64_t h) const {
    const int64_t position = sequences[s].keys - (cu_q[s + 1] - token);
    const int64_t kv_head = h / (layer.heads / layer.kv_heads);
    std::vector<double> sum(layer.v_dim);
    double denominator = layer.sinks ? std::exp(static_cast<double>(sinks[h])) : 0;
    for (int64_t j = 0; j < sequences[s].keys; ++j) {
      const int64_t other = token + j - position;  // its row, if it is one of the step's
      const bool in_group =
          other >= cu_q[s] && groups[token] >= 0 && groups[other] == groups[token];
      if (layer.causal && j > position && !in_group) continue;
      if (layer.window > 0 && std::abs(j - position) >= layer.window && !in_group) continue;
      if (layer.chunk > 0 && j / layer.chunk != position / layer.chunk && !in_group) continue;
      const int64_t row = Row(s, j, kv_head);
      double score = 0;
      for (int64_t i = 0; i < layer.qk_dim; ++i)
        score += q_values[(token * layer.heads + h) * layer.qk_dim + i] *
                 k_values[row * layer.qk_dim + i];
      score /= std::sqrt(static_cast<double>(layer.qk_dim));
      if (layer.softcap > 0) score = layer.softcap * std::tanh(score / layer.softcap);
      if (layer.slopes) score += static_cast<double>(slopes[h]) * static_cast<double>(j);
      const double p = std::exp(score);
      denominator += p;
      for (int64_t i = 0; i < layer.v_dim; ++i) sum[i] += p * v_values[row * value_stride + i];
    }
    for (double& x : sum) x /= denominator;
    return sum;
  }
};

// Weights and results are rounded once each, by 2^-9 of the largest value in bf16, 2^-12 in fp16. Normal values reach 3,
// codes with their scales twice that.
double Bound(const Types& types) {
  const double bound = types.type == KernelType::kF32   ? 1e-5
                       : types.type == KernelType::kF16 ? 2e-3
                                                        : 1.2e-2;
  return HasScales(types.kv_type) ? 2 * bound : bound;
}

std::string NameOf(const Types& types) {
  constexpr const char* kNames[] = {"f32", "bf16", "f16", "fp8", "int8"};
  return std::string(kNames[static_cast<int>(types.type)]) + " over " +
         kNames[static_cast<int>(types.kv_type)];
}

void ExpectClose(const Layer& layer_in, const std::vector<Sequence>& sequences) {
  Layer layer = layer_in;
  for (const Types& types : kTypes) {
    if (!layer.blocks && !IsPlain(types)) continue;
    layer.type = types.type, layer.kv_type = types.kv_type;
    Step step(layer, sequences);
    std::vector<Numbers> results;
    const std::vector<PagedAttentionVariant> variants = PagedAttentionVariants(DetectCpuFeatures());
    for (const PagedAttentionVariant& variant : variants) results.push_back(step.Run(variant));
    std::vector<double> worst(variants.size());
    for (size_t s = 0; s < sequences.size(); ++s) {
      for (int64_t token = step.cu_q[s]; token < step.cu_q[s + 1]; ++token) {
        for (int64_t h = 0; h < layer.heads; ++h) {
          const std::vector<double> expected = step.Expected(static_cast<int64_t>(s), token, h);
          for (size_t n = 0; n < variants.size(); ++n) {
            for (int64_t i = 0; i < layer.v_dim; ++i) {
              const double x = results[n].Get((token * layer.heads + h) * layer.v_dim + i);
              const double error = std::abs(x - expected[i]);
              worst[n] = std::isnan(error) ? 1e9 : std::max(worst[n], error);
            }
          }
        }
      }
    }
    for (size_t n = 0; n < variants.size(); ++n) {
      EXPECT_LE(worst[n], Bound(types))
          << variants[n].name << " " << NameOf(types) << " heads " << layer.heads << "/"
          << layer.kv_heads << " of " << layer.qk_dim << ", " << layer.v_dim;
    }
  }
}

// Decodes, chunks of prompts and whole ones, of fewer and of more keys than a tile.
const std::vector<Sequence> kMixed = {{5, 1}, {41, 17}, {300, 1}, {523, 3}, {33, 33}, {1, 1}};

TEST(PagedAttentionTest, HeadSizes) {
  for (int64_t size : {16, 19, 32, 64, 80, 96, 128, 256})
    ExpectClose({.heads = 6, .qk_dim = size, .v_dim = size}, kMixed);
  ExpectClose({.qk_dim = 24, .v_dim = 8}, kMixed);
  ExpectClose({.qk_dim = 7, .v_dim = 40}, kMixed);
}

TEST(PagedAttentionTest, Groups) {
  for (int64_t group : {1, 2, 3, 5, 7, 8})
    ExpectClose({.heads = 2 * group, .qk_dim = 40, .v_dim = 40}, kMixed);
  ExpectClose({.heads = 67, .kv_heads = 1}, kMixed);
}

TEST(PagedAttentionTest, ValuesThatAreAPartOfAWideKey) {
  // As latent attention has them: the tile is small here.
  ExpectClose({.heads = 50, .kv_heads = 1, .qk_dim = 576, .v_dim = 500, .v_row_stride = 576},
              {{70, 1}, {34, 2}});
}

TEST(PagedAttentionTest, Windows) {
  for (int64_t window : {1, 6, 40, 300}) ExpectClose({.window = window}, kMixed);
}
TEST(PagedAttentionTest, Chunks) {
  for (int64_t chunk : {8, 100}) ExpectClose({.chunk = chunk}, kMixed);
}
// Shorter and longer than a strip of rows, a window, a tile of keys.
TEST(PagedAttentionTest, TokensOfAGroupSeeEachOther) {
  const std::vector<Sequence> steps = {{5, 1}, {41, 17}, {300, 1}, {700, 560}, {33, 33}, {1, 1}};
  for (int32_t group : {1, 3, 16, 270}) {
    ExpectClose({.group = group}, steps);
    ExpectClose({.window = 20, .group = group}, steps);
  }
  ExpectClose({.chunk = 50, .group = 16}, steps);
  ExpectClose({.heads = 40, .window = 6, .softcap = 2, .slopes = true, .sinks = true, .group = 9},
              {{90, 3}, {41, 30}});
}

TEST(PagedAttentionTest, AGroupIsARunOfOneSequence) {
  const std::vector<int32_t> groups = {-1, 4, 4, 4, 4, 2, 2, -1, 2}, cu_q = {0, 3, 9};
  std::vector<int32_t> rows;
  ASSERT_TRUE(FindGroupRows(groups.data(), cu_q.data(), 2, &rows));
  EXPECT_EQ(rows, (std::vector<int32_t>{0, 1, 1, 3, 1, 3, 3, 5, 3, 5, 5, 7, 5, 7, 7, 8, 8, 9}));
  const std::vector<int32_t> none(9, -1);
  EXPECT_FALSE(FindGroupRows(none.data(), cu_q.data(), 2, &rows));
}

TEST(PagedAttentionTest, SoftcapSinksAndSlopes) {
  ExpectClose({.softcap = 1.5}, kMixed);
  ExpectClose({.sinks = true}, kMixed);
  ExpectClose({.slopes = true}, {{30, 1}, {41, 17}});
  ExpectClose({.window = 50, .softcap = 2, .slopes = true, .sinks = true}, {{90, 3}, {41, 17}});
}
TEST(PagedAttentionTest, BlockSizes) {
  for (int64_t size : {1, 4, 24, 32}) ExpectClose({.block_size = size}, kMixed);
}

TEST(PagedAttentionTest, RowsInsteadOfBlocks) {
  const std::vector<Sequence> whole = {{5, 5}, {70, 70}, {300, 300}, {1, 1}};
  ExpectClose({.qk_dim = 40, .v_dim = 24, .blocks = false}, whole);
  ExpectClose({.qk_dim = 40, .v_dim = 24, .causal = false, .blocks = false}, whole);
  for (int64_t window : {1, 6, 90})
    ExpectClose({.qk_dim = 40, .v_dim = 24, .window = window, .causal = false, .blocks = false},
                whole);
}

TEST(PagedAttentionTest, NothingToDoIsDone) {
  ExpectClose({}, {});
  ExpectClose({}, {{20, 0}, {21, 2}, {8, 0}});
}

// A tile of nothing but NaNs, and a query of them beside sinks, which alone would be a result.
TEST(PagedAttentionTest, NaNsAreSeen) {
  const int64_t keys = 513;  // the last one alone in its tile
  for (const Types& types : kTypes) {
    for (const PagedAttentionVariant& variant : PagedAttentionVariants(DetectCpuFeatures())) {
      for (int64_t queries : {1, 60}) {
        Step step({.sinks = true, .type = types.type, .kv_type = types.kv_type}, {{keys, queries}});
        const int64_t row = step.layer.heads * step.layer.v_dim;
        if (HasScales(types.kv_type)) {
          step.k_scales[step.Row(0, keys - 1, 0)] = std::nanf("");
        } else {
          step.k.Set(step.Row(0, keys - 1, 0) * step.layer.qk_dim, std::nan(""));
        }
        const Numbers of_key = step.Run(variant);
        EXPECT_TRUE(std::isnan(of_key.Get(queries * row - row)))
            << variant.name << " " << NameOf(types);
        EXPECT_FALSE(std::isnan(of_key.Get(queries * row - 1)))
            << variant.name << " " << NameOf(types);
        step.q.Set(step.layer.qk_dim, std::nan(""));
        const Numbers of_query = step.Run(variant);
        EXPECT_TRUE(std::isnan(of_query.Get(step.layer.v_dim)))
            << variant.name << " " << NameOf(types);
      }
    }
  }
}

// However it is split, each block's tiles are taken once, and what they give fits into memory.
TEST(PagedAttentionTest, ALongContextOnManyThreadsTakesLittleMemory) {
  for (int queries : {1, 48, 512}) {
    const std::vector<int32_t> cu_q = {0, queries}, seq_lens = {1 << 17};
    PagedAttention a;
    a.heads = 32, a.kv_heads = 8, a.qk_dim = a.v_dim = 128, a.block_size = 16;
    a.cu_q = cu_q.data(), a.seq_lens = seq_lens.data(), a.num_sequences = 1;
    AttentionSplit split;
    SplitAttention(a, 64, &split);
    EXPECT_LE(split.partial_floats, 32 << 20);
    EXPECT_GE(split.spans.size(), 64u);
    std::vector<int64_t> taken(split.blocks.size());
    for (const AttentionSpan& span : split.spans) {
      EXPECT_EQ(span.first_tile, split.blocks[span.block].first_tile + taken[span.block]);
      taken[span.block] += span.tiles;
    }
    for (size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(taken[i], split.blocks[i].tiles);
  }
}

// The queries of one sequence alone, one by one, in chunks, and beside others.
TEST(PagedAttentionTest, AQuerysBitsDoNotDependOnWhatIsBesideIt) {
  for (const Types& types : kTypes) {
    for (const Layer& kind :
         {Layer{}, Layer{.window = 300}, Layer{.softcap = 2, .slopes = true, .sinks = true}}) {
      Layer layer = kind;
      layer.heads = 6, layer.qk_dim = layer.v_dim = 40;
      layer.type = types.type, layer.kv_type = types.kv_type;
      const int64_t keys = 700, row = layer.heads * layer.v_dim;
      for (const PagedAttentionVariant& variant : PagedAttentionVariants(DetectCpuFeatures())) {
        const Numbers whole = Step(layer, {{keys, keys}}, {1}).Run(variant);
        for (int64_t queries : {1, 2, 9, 130}) {
          const Numbers part = Step(layer, {{keys, queries}}, {1}).Run(variant);
          EXPECT_TRUE(part.SameBits(whole, 0, (keys - queries) * row, queries * row))
              << variant.name << " " << NameOf(types) << ", " << queries << " queries";
        }
        const Numbers beside =
            Step(layer, {{900, 1}, {33, 33}, {keys, 5}, {5, 1}}, {2, 3, 1, 4}).Run(variant);
        EXPECT_TRUE(beside.SameBits(whole, 34 * row, (keys - 5) * row, 5 * row))
            << variant.name << " " << NameOf(types) << ", beside others";
      }
    }
  }
}

// Groups, whose queries are all there, alone and beside others.
TEST(PagedAttentionTest, AGroupsBitsDoNotDependOnWhatIsBesideIt) {
  for (const Types& types : kTypes) {
    Layer layer = {.heads = 6, .window = 30, .group = 19};
    layer.type = types.type, layer.kv_type = types.kv_type;
    const int64_t row = layer.heads * layer.v_dim;
    for (const PagedAttentionVariant& variant : PagedAttentionVariants(DetectCpuFeatures())) {
      const Numbers alone = Step(layer, {{700, 130}}, {1}).Run(variant);
      const Numbers beside =
          Step(layer, {{900, 1}, {33, 33}, {700, 130}, {5, 1}}, {2, 3, 1, 4}).Run(variant);
      EXPECT_TRUE(beside.SameBits(alone, 34 * row, 0, 130 * row))
          << variant.name << " " << NameOf(types);
    }
  }
}

}  // namespace
}  // namespace keel
