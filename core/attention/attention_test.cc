// The implementations against each other and against softmax(q k^T) v in fp64, on caches whose
// blocks are scattered and whose unused slots are NaN.
#include "core/attention/attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/choose.h"
#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/tensor/aten.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kBlockSize = 4;

struct Sequence {
  int64_t keys, queries;
};

struct Layer {
  int64_t heads = 4, kv_heads = 2, qk_dim = 16, v_dim = 16;
  int64_t window = 0, chunk = 0;
  double softcap = 0;
  bool alibi = false, sinks = false;
  int64_t group = 0;      // every second run of so many tokens of a step is one; 0: none
  int64_t distances = 0;  // told apart on either side of a query, by biases of heads and of queries
};

absl::Status RunOn(const AttentionImplementation& impl, const AttentionCall& call) {
  auto instance = impl.Prepare({call.desc});
  return instance.ok() ? (*instance)->Run(call) : instance.status();
}

// A step over a random cache.
struct Step {
  Layer layer;
  std::vector<Sequence> sequences;
  keel_attention_desc desc = {};
  AttentionMetadata metadata;
  at::Tensor q, k_cache, v_cache, slopes, sinks, of_heads, of_queries, groups;
  std::vector<at::Tensor> keys, values;  // per sequence, [K, kv_heads, D]
  std::vector<NamedArg> args;

  Step(const Layer& layer_in, std::vector<Sequence> sequences_in, int seed,
       at::ScalarType type = at::kFloat)
      : layer(layer_in), sequences(std::move(sequences_in)) {
    const at::Generator gen = at::make_generator<at::CPUGeneratorImpl>(seed);
    const auto random = [&](at::IntArrayRef shape) {
      return at::randn(shape, gen, at::kFloat).to(type);
    };
    desc.struct_size = sizeof(desc);
    desc.kind = KEEL_ATTENTION_CAUSAL;
    desc.heads = layer.heads, desc.kv_heads = layer.kv_heads;
    desc.qk_dim = layer.qk_dim, desc.v_dim = layer.v_dim;
    desc.window = layer.window, desc.chunk = layer.chunk, desc.softcap = layer.softcap;
    desc.scale = 1 / std::sqrt(static_cast<double>(layer.qk_dim));

    int64_t tokens = 0, blocks = 0, max_blocks = 0;
    for (const Sequence& s : sequences) {
      tokens += s.queries;
      const int64_t own = (s.keys + kBlockSize - 1) / kBlockSize;
      blocks += own;
      max_blocks = std::max(max_blocks, own);
    }
    const int64_t total = blocks + 5;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    q = random({tokens, layer.heads, layer.qk_dim});
    k_cache = at::full({total, layer.kv_heads, kBlockSize, layer.qk_dim}, nan, type);
    v_cache = at::full({total, layer.kv_heads, kBlockSize, layer.v_dim}, nan, type);
    std::vector<int32_t> order(total);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));

    const int64_t count = static_cast<int64_t>(sequences.size());
    metadata.block_table = at::full({count, max_blocks + 1}, total - 1, at::kInt);  // garbage
    metadata.seq_lens = at::zeros({count}, at::kInt);
    metadata.cu_q = at::zeros({count + 1}, at::kInt);
    metadata.slots = at::zeros({tokens}, at::kLong);
    auto table = metadata.block_table.accessor<int32_t, 2>();
    auto lens = metadata.seq_lens.accessor<int32_t, 1>();
    auto cu_q = metadata.cu_q.accessor<int32_t, 1>();
    size_t next = 0;
    for (int64_t s = 0; s < count; ++s) {
      const int64_t n = sequences[s].keys;
      keys.push_back(random({n, layer.kv_heads, layer.qk_dim}));
      values.push_back(random({n, layer.kv_heads, layer.v_dim}));
      for (int64_t j = 0; j < n; ++j) {
        if (j % kBlockSize == 0) table[s][j / kBlockSize] = order[next++];
        const int64_t block = table[s][j / kBlockSize];
        k_cache.select(0, block).select(1, j % kBlockSize).copy_(keys[s].select(0, j));
        v_cache.select(0, block).select(1, j % kBlockSize).copy_(values[s].select(0, j));
      }
      lens[s] = static_cast<int32_t>(n);
      cu_q[s + 1] = cu_q[s] + static_cast<int32_t>(sequences[s].queries);
      metadata.max_q = std::max(metadata.max_q, sequences[s].queries);
      metadata.max_kv = std::max(metadata.max_kv, n);
    }
    slopes = at::abs(random({layer.heads})).to(at::kFloat) * 0.2;
    sinks = random({layer.heads});
    if (layer.alibi) args.push_back({"alibi_slopes", slopes, 0});
    if (layer.sinks) args.push_back({"sinks", sinks, 0});
    if (layer.group > 0) {
      groups = at::full({tokens}, -1, at::kInt);
      int32_t* number = groups.mutable_data_ptr<int32_t>();
      for (const Sequence& s : sequences) {
        for (int64_t i = 0; i < s.queries; ++i, ++number)
          if (i / layer.group % 2 == 1) *number = static_cast<int32_t>(i / layer.group);
      }
      args.push_back({"groups", groups, 0});
    }
    if (layer.distances > 0) {
      const int64_t columns = 2 * layer.distances + 1;
      of_heads = random({layer.heads, columns});
      of_queries = random({tokens, layer.heads, columns});
      args.push_back({"distance_bias", of_heads, 0});
      args.push_back({"query_distance_bias", of_queries, 0});
    }
  }

  AttentionUse Use(DType dtype = DType::kF32) const {
    AttentionUse use{&desc, dtype, kBlockSize, {}};
    for (const NamedArg& arg : args) use.args.push_back(arg.name);
    return use;
  }

  at::Tensor Run(const AttentionImplementation& impl) const {
    AttentionCall call;
    call.desc = &desc;
    call.q = q, call.k_cache = k_cache, call.v_cache = v_cache;
    call.metadata = &metadata;
    call.args = args;
    call.out = at::empty({q.size(0), layer.heads, layer.v_dim}, q.options());
    const absl::Status status = RunOn(impl, call);
    EXPECT_TRUE(status.ok()) << status;
    return call.out;
  }

  // One query at a time, key by key, in fp64.
  at::Tensor Reference() const {
    at::Tensor out = at::zeros({q.size(0), layer.heads, layer.v_dim}, at::kDouble);
    int64_t token = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      for (int64_t i = 0; i < sequences[s].queries; ++i, ++token) {
        const int64_t position = sequences[s].keys - sequences[s].queries + i;
        for (int64_t h = 0; h < layer.heads; ++h) {
          out.select(0, token).select(0, h).copy_(OneHead(s, token, h, position));
        }
      }
    }
    return out;
  }

  // Whether `token` of sequence `s` is in a group with row `other`, which may be no row of the step.
  bool InGroup(size_t s, int64_t token, int64_t other) const {
    if (layer.group == 0 || other < metadata.cu_q[static_cast<int64_t>(s)].item<int32_t>())
      return false;
    const int32_t* numbers = groups.const_data_ptr<int32_t>();
    return numbers[token] >= 0 && numbers[other] == numbers[token];
  }

  at::Tensor OneHead(size_t s, int64_t token, int64_t h, int64_t position) const {
    const int64_t kv_head = h / (layer.heads / layer.kv_heads);
    const at::Tensor query = q.select(0, token).select(0, h).to(at::kDouble);
    at::Tensor sum = at::zeros({layer.v_dim}, at::kDouble);
    double denominator = 0;
    if (layer.sinks) denominator = std::exp(sinks.select(0, h).item<double>());
    for (int64_t j = 0; j < sequences[s].keys; ++j) {
      if (!InGroup(s, token, token + j - position)) {
        if (j > position || (layer.window > 0 && j <= position - layer.window)) continue;
        if (layer.chunk > 0 && j / layer.chunk != position / layer.chunk) continue;
      }
      const at::Tensor key = keys[s].select(0, j).select(0, kv_head).to(at::kDouble);
      double score = (query * key).sum().item<double>() * desc.scale;
      if (layer.softcap > 0) score = layer.softcap * std::tanh(score / layer.softcap);
      if (layer.alibi) score += slopes.select(0, h).item<double>() * static_cast<double>(j);
      if (layer.distances > 0) {
        const int64_t column = layer.distances - std::min(position - j, layer.distances);
        score += of_heads.select(0, h).select(0, column).item<double>() +
                 of_queries.select(0, token).select(0, h).select(0, column).item<double>();
      }
      denominator += std::exp(score);
      sum += values[s].select(0, j).select(0, kv_head).to(at::kDouble) * std::exp(score);
    }
    return sum / denominator;
  }
};

void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double bound,
                 const std::string& what) {
  ASSERT_EQ(at::isnan(actual).sum().item<int64_t>(), 0) << what;
  EXPECT_LE(at::abs(actual.to(at::kDouble) - expected).max().item<double>(), bound) << what;
}

// Decode alone, prefill alone, chunks, and all of them in one step.
const std::vector<std::vector<Sequence>>& Steps() {
  static const auto* steps = new std::vector<std::vector<Sequence>>{
      {{1, 1}},   {{21, 1}}, {{21, 21}},
      {{21, 10}}, {{30, 3}}, {{5, 1}, {17, 17}, {40, 1}, {33, 12}, {4, 4}, {8, 1}, {9, 9}},
  };
  return *steps;
}

void ExpectAllAgree(const Layer& layer, const std::vector<std::string>& names) {
  const AttentionRegistry registry;
  int seed = 0;
  for (const std::vector<Sequence>& sequences : Steps()) {
    const Step step(layer, sequences, ++seed);
    const at::Tensor expected = step.Reference();
    for (const std::string& name : names) {
      KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
      KEEL_ASSERT_OK(impl->Supports(step.Use()));
      ExpectClose(step.Run(*impl), expected, 2e-5, absl::StrCat(name, ", step ", seed));
    }
  }
}

TEST(AttentionTest, AllAgreeOnPlainCausalAttention) {
  ExpectAllAgree({}, {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeWithoutGroupedHeads) {
  ExpectAllAgree({.heads = 3, .kv_heads = 3}, {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeOnHeadSizesThatNoVectorDivides) {
  ExpectAllAgree({.heads = 6, .kv_heads = 2, .qk_dim = 19, .v_dim = 19},
                 {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeOnValuesOfAnotherSizeThanKeys) {
  ExpectAllAgree({.qk_dim = 24, .v_dim = 8}, {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeOnManyHeadsOfOneKvHead) {
  ExpectAllAgree({.heads = 37, .kv_heads = 1}, {"eager", "sdpa", "paged"});
  ExpectAllAgree({.heads = 37, .kv_heads = 1, .qk_dim = 24, .v_dim = 16},
                 {"eager", "sdpa", "paged"});
  ExpectAllAgree({.heads = 5, .kv_heads = 1, .qk_dim = 24, .v_dim = 16, .window = 6},
                 {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeOnAWindow) {
  ExpectAllAgree({.window = 6}, {"eager", "sdpa", "paged"});
  ExpectAllAgree({.window = 1}, {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, AllAgreeOnChunks) { ExpectAllAgree({.chunk = 8}, {"eager", "sdpa", "paged"}); }
TEST(AttentionTest, AllAgreeOnGroups) {
  ExpectAllAgree({.group = 3}, {"eager", "sdpa", "paged"});
  ExpectAllAgree({.window = 4, .group = 6}, {"eager", "sdpa", "paged"});
  ExpectAllAgree({.chunk = 8, .group = 5}, {"eager", "sdpa", "paged"});
  ExpectAllAgree({.heads = 5, .kv_heads = 1, .qk_dim = 24, .v_dim = 16, .window = 6, .group = 4},
                 {"eager", "sdpa", "paged"});
  ExpectAllAgree({.window = 5, .softcap = 2, .sinks = true, .group = 7}, {"eager", "paged"});
}
TEST(AttentionTest, AllAgreeOnAlibi) {
  ExpectAllAgree({.alibi = true}, {"eager", "sdpa", "paged"});
}
TEST(AttentionTest, EagerAndPagedAgreeOnSoftcapAndSinks) {
  ExpectAllAgree({.softcap = 1.5}, {"eager", "paged"});
  ExpectAllAgree({.sinks = true}, {"eager", "paged"});
  ExpectAllAgree({.window = 5, .softcap = 2, .sinks = true}, {"eager", "paged"});
}

TEST(AttentionTest, EagerAndSdpaAgreeOnBiasesOfDistances) {
  ExpectAllAgree({.distances = 6}, {"eager", "sdpa"});
  ExpectAllAgree({.alibi = true, .distances = 3}, {"eager", "sdpa"});
  ExpectAllAgree(
      {.heads = 5, .kv_heads = 1, .qk_dim = 24, .v_dim = 16, .window = 6, .distances = 50},
      {"eager", "sdpa"});
}

TEST(AttentionTest, SixteenBitTypesStayWithinTheirRounding) {
  const AttentionRegistry registry;
  for (const auto& [type, bound] :
       {std::pair<at::ScalarType, double>{at::kBFloat16, 4e-2}, {at::kHalf, 5e-3}}) {
    const Step step({.qk_dim = 40, .v_dim = 40}, Steps().back(), 9, type);
    const at::Tensor expected = step.Reference();
    for (const char* name : {"eager", "sdpa", "paged"}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
      ExpectClose(step.Run(*impl), expected, bound, name);
    }
  }
}

// In forward a row of a step is a sequence's, whatever the model says.
TEST(AttentionTest, AnEncoderInAStepSeesItsSequenceAndNoOther) {
  const AttentionRegistry registry;
  Step step({}, {{9, 9}}, 1);
  step.desc.kind = KEEL_ATTENTION_ENCODER;
  const int32_t borders[] = {0, 4, 9};
  for (const char* name : {"eager", "sdpa", "paged"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
    const auto run = [&] {
      AttentionCall call;
      call.desc = &step.desc;
      call.q = step.q, call.k = step.keys[0], call.v = step.values[0];
      call.sequences = borders;
      call.out = at::empty({9, 4, 16});
      KEEL_EXPECT_OK(RunOn(*impl, call));
      return call.out;
    };
    const at::Tensor before = run();
    step.values[0].narrow(0, 4, 5).add_(100);
    const at::Tensor after = run();
    EXPECT_TRUE(before.narrow(0, 0, 4).equal(after.narrow(0, 0, 4))) << name;
    EXPECT_FALSE(before.narrow(0, 4, 5).equal(after.narrow(0, 4, 5))) << name;
  }
}

// Two sequences in a step, a window, and all three biases: of heads, of queries and of keys.
TEST(AttentionTest, AnEncodersBiasesGoByTheDistanceWithinASequence) {
  const AttentionRegistry registry;
  const int64_t length = 9, heads = 3, farthest = 2, window = 4;
  Step step({.heads = heads, .kv_heads = 3, .window = window}, {{length, length}}, 1);
  step.desc.kind = KEEL_ATTENTION_ENCODER;
  const int32_t borders[] = {0, 3, length};
  const at::Generator gen = at::make_generator<at::CPUGeneratorImpl>(2);
  const at::Tensor of_heads = at::randn({heads, 2 * farthest + 1}, gen, at::kFloat),
                   of_queries = at::randn({length, heads, 2 * farthest + 1}, gen, at::kFloat),
                   of_keys = at::randn({length, heads, 2 * farthest + 1}, gen, at::kFloat);
  const std::vector<NamedArg> args = {{"distance_bias", of_heads, 0},
                                      {"query_distance_bias", of_queries, 0},
                                      {"key_distance_bias", of_keys, 0}};
  const auto number = [](const at::Tensor& x) { return x.item<double>(); };
  at::Tensor expected = at::zeros({length, heads, 16}, at::kDouble);
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t h = 0; h < heads; ++h) {
      double weights = 0;
      at::Tensor sum = at::zeros({16}, at::kDouble);
      for (int64_t j = i < 3 ? 0 : 3; j < (i < 3 ? 3 : length); ++j) {
        if (std::abs(i - j) >= window) continue;
        const int64_t column = std::clamp(j - i, -farthest, farthest) + farthest;
        const at::Tensor product = step.q[i][h].to(at::kDouble) * step.keys[0][j][h];
        const double weight =
            std::exp(number(product.sum()) * step.desc.scale + number(of_heads[h][column]) +
                     number(of_queries[i][h][column]) + number(of_keys[j][h][column]));
        weights += weight;
        sum += step.values[0][j][h].to(at::kDouble) * weight;
      }
      expected[i][h].copy_(sum / weights);
    }
  }
  for (const char* name : {"eager", "sdpa"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
    AttentionCall call;
    call.desc = &step.desc;
    call.q = step.q, call.k = step.keys[0], call.v = step.values[0];
    call.sequences = borders;
    call.args = args;
    call.out = at::empty({length, heads, 16});
    KEEL_EXPECT_OK(RunOn(*impl, call));
    ExpectClose(call.out, expected, 2e-5, name);
  }
}

TEST(AttentionTest, AnEncodersWindowIsAsWideOnBothSides) {
  const AttentionRegistry registry;
  const int64_t length = 13, window = 3, changed = 6;
  Step step({.window = window}, {{length, length}}, 1);
  step.desc.kind = KEEL_ATTENTION_ENCODER;
  const int32_t borders[] = {0, length};
  std::optional<at::Tensor> expected;
  for (const char* name : {"eager", "sdpa", "paged"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
    const auto run = [&](const at::Tensor& values) {
      AttentionCall call;
      call.desc = &step.desc;
      call.q = step.q, call.k = step.keys[0], call.v = values;
      call.sequences = borders;
      call.out = at::empty({length, 4, 16});
      KEEL_EXPECT_OK(RunOn(*impl, call));
      return call.out;
    };
    at::Tensor other = step.values[0].clone();
    other.select(0, changed).add_(1);
    const at::Tensor before = run(step.values[0]), after = run(other);
    for (int64_t i = 0; i < length; ++i) {
      EXPECT_EQ(before.select(0, i).equal(after.select(0, i)), std::abs(i - changed) >= window)
          << name << ", query " << i;
    }
    if (!expected.has_value()) expected = before.to(at::kDouble);
    ExpectClose(before, *expected, 2e-5, name);
  }
}

TEST(AttentionTest, AnEncoderSeesItsWholeSegmentAndNoOther) {
  const AttentionRegistry registry;
  Step step({}, {{9, 9}}, 1);
  step.desc.kind = KEEL_ATTENTION_ENCODER;
  const at::Tensor segments = at::zeros({3}, at::kInt);
  segments.mutable_data_ptr<int32_t>()[1] = 4;
  segments.mutable_data_ptr<int32_t>()[2] = 9;
  at::Tensor results[3];
  int i = 0;
  for (const char* name : {"eager", "sdpa", "paged"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto impl, registry.Find(name));
    AttentionCall call;
    const std::vector<NamedArg> args = {{"segments", segments, 0}};
    call.desc = &step.desc;
    call.q = step.q, call.k = step.keys[0], call.v = step.values[0];
    call.args = args;
    call.out = at::empty({9, 4, 16});
    KEEL_ASSERT_OK(RunOn(*impl, call));
    results[i++] = call.out;
  }
  ExpectClose(results[0], results[1].to(at::kDouble), 2e-5, "sdpa");
  ExpectClose(results[0], results[2].to(at::kDouble), 2e-5, "paged");
  // The first segment does not depend on the second's values.
  step.values[0].narrow(0, 4, 5).fill_(100);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto eager, registry.Find("eager"));
  AttentionCall call;
  const std::vector<NamedArg> args = {{"segments", segments, 0}};
  call.desc = &step.desc;
  call.q = step.q, call.k = step.keys[0], call.v = step.values[0];
  call.args = args;
  call.out = at::empty({9, 4, 16});
  KEEL_ASSERT_OK(RunOn(*eager, call));
  ExpectClose(call.out.narrow(0, 0, 4), results[0].narrow(0, 0, 4).to(at::kDouble), 0, "segment 0");
  // Rows of no segment would keep what was in their memory.
  segments.mutable_data_ptr<int32_t>()[2] = 8;
  EXPECT_THAT(RunOn(*eager, call), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("rows [0, 8), expected all 9")));
}

absl::StatusOr<std::shared_ptr<const AttentionImplementation>> Choose(
    const AttentionRegistry& registry, const AttentionUse& use, const std::string& flag) {
  absl::StatusOr<AttentionChoice> choice = ChooseAttention(use, {.flag = flag}, registry);
  if (!choice.ok()) return choice.status();
  return choice->implementation;
}

TEST(RegistryTest, WhatAnImplementationLacksIsRefusedByName) {
  const AttentionRegistry registry;
  const Step softcap({.softcap = 3}, {{1, 1}}, 1), sinks({.sinks = true}, {{1, 1}}, 1);
  EXPECT_THAT(Choose(registry, softcap.Use(), "sdpa"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("sdpa: no softcap")));
  EXPECT_THAT(Choose(registry, sinks.Use(), "sdpa"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"sinks\"")));
  Step mla({}, {{1, 1}}, 1);
  mla.desc.kind = KEEL_ATTENTION_MLA;
  EXPECT_THAT(Choose(registry, mla.Use(), ""),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("MLA")));
}

TEST(RegistryTest, TheModelsOwnWishComesBeforeTheFlag) {
  const AttentionRegistry registry;
  Step step({}, {{1, 1}}, 1);
  step.desc.impl = "eager";
  KEEL_ASSERT_OK_AND_ASSIGN(const auto chosen, Choose(registry, step.Use(), "paged"));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto eager, registry.Find("eager"));
  EXPECT_EQ(chosen, eager);
}

}  // namespace
}  // namespace keel
