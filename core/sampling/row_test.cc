// The passes over a row and the filters beside plain loops over all tokens.
#include "core/sampling/row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "core/sampling/processors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAreArray;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kSizes[] = {1, 7, 8, 31, 33, 255, 256, 257, 600, 20000};

enum class Kind { kNormal, kPeaked, kTies, kHoles };
constexpr Kind kKinds[] = {Kind::kNormal, Kind::kPeaked, Kind::kTies, Kind::kHoles};

std::vector<float> MakeRow(int64_t n, Kind kind) {
  std::mt19937 random(static_cast<uint32_t>(n) + 1);
  std::normal_distribution<float> normal(0, kind == Kind::kPeaked ? 12 : 3);
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) {
    const float x = normal(random);
    out.push_back(kind == Kind::kTies ? std::round(x) : x);
    if (kind != Kind::kHoles || i == n / 2) continue;
    const uint32_t hole = random() % 6;
    if (hole < 3) out.back() = hole == 0 ? NAN : hole == 1 ? kInf : -kInf;
  }
  return out;
}

float BestOf(const std::vector<float>& row) {
  float best = -kInf;
  for (const float x : row) best = std::isfinite(x) ? std::max(best, x) : best;
  return best;
}

// exp of x / t - best / t of finite scores, in fp64 but for the difference.
std::vector<double> WeightsOf(const std::vector<float>& row, float t) {
  const float best = BestOf(row) / t;
  std::vector<double> out;
  for (const float x : row) {
    const double d = x / t - best;
    out.push_back(std::isfinite(x) && d > -87 ? std::exp(d) : 0);
  }
  return out;
}

TEST(RowKernelsTest, EveryVariantIsTheFormulaWithTheSameBits) {
  const std::vector<RowKernels> variants = RowKernelVariants(Cpu());
  for (const RowKernels& variant : variants) std::printf("variant %s\n", variant.name.c_str());
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      const std::vector<float> row = MakeRow(n, kind);
      const float t = 0.7f, best = BestOf(row) / t;
      const std::vector<double> expected = WeightsOf(row, t);
      std::vector<float> first_weights;
      std::vector<BlockSum> first_sums;
      for (const RowKernels& variant : variants) {
        SCOPED_TRACE(variant.name);
        std::vector<float> maxima(RowBlocks(n)), weights(n);
        std::vector<BlockSum> sums(RowBlocks(n));
        variant.block_maxima(row.data(), n, maxima.data());
        variant.block_sums(row.data(), n, t, best, sums.data());
        variant.weights(row.data(), n, t, best, weights.data());
        for (int64_t b = 0; b < RowBlocks(n); ++b) {
          const int64_t begin = b * kRowBlock, end = std::min(n, begin + kRowBlock);
          EXPECT_EQ(maxima[b], BestOf({row.begin() + begin, row.begin() + end}));
          double weight = 0, moment = 0;
          for (int64_t i = begin; i < end; ++i) {
            ASSERT_NEAR(weights[i], expected[i], 2e-7 * expected[i]);
            weight += expected[i];
            if (expected[i] > 0) moment += expected[i] * std::log(expected[i]);
          }
          EXPECT_NEAR(sums[b].weight, weight, 1e-6 * weight);
          EXPECT_NEAR(sums[b].moment, moment, 1e-5 * std::abs(moment) + 1e-7 * weight);
        }
        if (first_weights.empty()) first_weights = weights, first_sums = sums;
        EXPECT_EQ(std::memcmp(weights.data(), first_weights.data(), weights.size() * 4), 0);
        EXPECT_EQ(std::memcmp(sums.data(), first_sums.data(), sums.size() * sizeof(BlockSum)), 0);
      }
    }
  }
}

TEST(RowKernelsTest, EveryVariantKeepsTheTokensOfAMask) {
  for (const RowKernels& variant : RowKernelVariants(Cpu())) {
    SCOPED_TRACE(variant.name);
    for (const int64_t n : kSizes) {
      std::mt19937 random(1);
      std::vector<uint32_t> mask;
      for (int64_t i = 0; i < (n + 31) / 32; ++i)
        mask.push_back(i % 3 == 0 ? random() : i % 3 == 1 ? ~0u : 0);
      const std::vector<float> row = MakeRow(n, Kind::kNormal);
      std::vector<float> masked = row;
      variant.keep_masked(masked.data(), n, mask.data());
      for (int64_t i = 0; i < n; ++i) {
        const bool kept = (mask[i / 32] >> (i % 32) & 1) != 0;
        ASSERT_EQ(masked[i], kept ? row[i] : -kInf) << "token " << i << " of " << n;
      }
    }
  }
}

TEST(RowKernelsTest, EveryVariantFindsTheScoresAtLeastAsGood) {
  for (const RowKernels& variant : RowKernelVariants(Cpu())) {
    SCOPED_TRACE(variant.name);
    for (const int64_t n : kSizes) {
      for (const Kind kind : kKinds) {
        for (const float limit : {-3e38f, 0.0f, 3.0f}) {
          const std::vector<float> row = MakeRow(n, kind);
          std::vector<int32_t> expected, found(n);
          for (int64_t i = 0; i < n; ++i) {
            if (std::isfinite(row[i]) && row[i] >= limit)
              expected.push_back(static_cast<int32_t>(i));
          }
          found.resize(variant.at_least(row.data(), n, limit, found.data()));
          EXPECT_EQ(found, expected);
        }
      }
    }
  }
}

TEST(RowTest, ArgMaxIsTheLowestOfTheBest) {
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      const std::vector<float> logits = MakeRow(n, kind);
      Row row;
      row.Reset(logits);
      EXPECT_EQ(row.ArgMax(),
                std::find(logits.begin(), logits.end(), BestOf(logits)) - logits.begin());
    }
  }
}

// Tokens with finite scores, best first.
std::vector<int32_t> Ranked(const std::vector<float>& scores) {
  std::vector<int32_t> out(scores.size());
  std::iota(out.begin(), out.end(), 0);
  std::erase_if(out, [&](int32_t token) { return !std::isfinite(scores[token]); });
  std::sort(out.begin(), out.end(), [&](int32_t a, int32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  return out;
}

std::vector<int32_t> TokensOf(const Candidates& candidates) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < candidates.size(); ++i) out.push_back(candidates.token(i));
  return out;
}

TEST(RowTest, CollectsTheBestKAndTheirEquals) {
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      for (const int64_t k : {1, 3, 50, 70, 500}) {
        SCOPED_TRACE(testing::Message() << n << " tokens, k " << k);
        const std::vector<float> logits = MakeRow(n, kind);
        std::vector<int32_t> expected = Ranked(logits);
        if (k < static_cast<int64_t>(expected.size())) {
          const float last = logits[expected[k - 1]];
          std::erase_if(expected, [&](int32_t token) { return logits[token] < last; });
        }
        std::sort(expected.begin(), expected.end());
        Row row;
        Candidates candidates;
        row.Reset(logits);
        row.CollectBest(k, 0.7f, candidates);
        EXPECT_EQ(TokensOf(candidates), expected);
      }
    }
  }
}

TEST(RowTest, TopPKeepsTheSmallestSetOfTheBest) {
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      for (const double p : {1e-6, 0.3, 0.9, 0.99}) {
        SCOPED_TRACE(testing::Message() << n << " tokens, p " << p);
        const std::vector<float> logits = MakeRow(n, kind);
        const std::vector<double> weights = WeightsOf(logits, 1);
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        std::vector<int32_t> expected;
        double before = 0;
        for (const int32_t token : Ranked(logits)) {
          if (before >= p * total) break;
          expected.push_back(token);
          before += weights[token];
        }
        std::sort(expected.begin(), expected.end());
        Row row;
        Candidates candidates;
        row.Reset(logits);
        const BlockSum sum = row.Sum(1);
        row.CollectAbove(row.best() + TopPThreshold(p, sum, n), 1, candidates);
        candidates.SetWeights(row.best());
        candidates.KeepTopP(p, sum);
        EXPECT_EQ(TokensOf(candidates), expected);
      }
    }
  }
}

TEST(RowTest, TypicalKeepsTheNearestToTheEntropy) {
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      for (const double mass : {0.01, 0.5, 0.95}) {
        SCOPED_TRACE(testing::Message() << n << " tokens, mass " << mass);
        const std::vector<float> logits = MakeRow(n, kind);
        const std::vector<double> weights = WeightsOf(logits, 1);
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        double entropy = 0;
        for (const double w : weights) entropy -= w > 0 ? w / total * std::log(w / total) : 0;
        const double best = BestOf(logits);
        const auto distance = [&](int32_t token) {
          return std::abs(-(logits[token] - best - std::log(total)) - entropy);
        };
        std::vector<int32_t> expected = Ranked(logits);
        std::sort(expected.begin(), expected.end(),
                  [&](int32_t a, int32_t b) { return distance(a) < distance(b); });
        double before = 0;
        size_t kept = 0;
        while (kept < expected.size() && before < mass * total) before += weights[expected[kept++]];
        const double limit = distance(expected[kept - 1]) + 1e-9;
        std::erase_if(expected, [&](int32_t token) { return distance(token) > limit; });
        std::sort(expected.begin(), expected.end());
        Row row;
        Candidates candidates;
        row.Reset(logits);
        const BlockSum sum = row.Sum(1);
        row.CollectAbove(row.best() + TypicalThreshold(mass, sum, n), 1, candidates);
        candidates.SetWeights(row.best());
        candidates.KeepTypical(mass, sum);
        EXPECT_EQ(TokensOf(candidates), expected);
      }
    }
  }
}

TEST(RowTest, DrawsTheTokenWhereTheSumPassesTheNumber) {
  for (const int64_t n : kSizes) {
    for (const Kind kind : kKinds) {
      const std::vector<float> logits = MakeRow(n, kind);
      const std::vector<double> weights = WeightsOf(logits, 1);
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      Row row;
      Candidates candidates;
      row.Reset(logits);
      row.Sum(1);
      row.CollectAbove(std::numeric_limits<float>::lowest(), 1, candidates);
      candidates.SetWeights(row.best());
      for (int i = 0; i <= 64; ++i) {
        const double uniform = i < 64 ? i / 64.0 : 1 - 0x1p-53;
        for (const int32_t token : {row.Draw(1, uniform), candidates.Draw(uniform)}) {
          const double before = std::accumulate(weights.begin(), weights.begin() + token, 0.0);
          EXPECT_GT(weights[token], 0);
          EXPECT_LE(before, (uniform + 1e-6) * total);
          EXPECT_GE(before + weights[token], (uniform - 1e-6) * total);
        }
      }
    }
  }
}

TEST(ProcessorsTest, AMaskThatEndsEarlyKeepsNothingBeyond) {
  std::vector<float> scores(70, 1);
  KeepMasked(absl::MakeSpan(scores), {0u, 3u});
  std::vector<float> expected(70, -kInf);
  expected[32] = expected[33] = 1;
  EXPECT_THAT(scores, ElementsAreArray(expected));
}

}  // namespace
}  // namespace keel
