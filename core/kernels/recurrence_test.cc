#include "core/kernels/recurrence.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

std::vector<float> Random(int64_t n, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(normal(random));
  return out;
}

constexpr int64_t kRows = 3, kTokens = 9;  // a sequence behind rows of another's

TEST(RecurrenceTest, ConvolutionOfEveryVariantIsTheFormulaInFp64HoweverItIsCut) {
  for (const RecurrenceVariant& variant : RecurrenceVariants(Cpu())) {
    for (const int64_t channels : {1, 16, 37}) {
      for (const int64_t kernel : {1, 2, 4}) {
        const auto x = Random((kRows + kTokens) * channels, 1), w = Random(kernel * channels, 2);
        const auto bias = Random(channels, 3), before = Random(channels * (kernel - 1), 4);
        for (const int64_t cut : {0, 1, 2, 5}) {
          std::vector<float> state = before, y(x.size());
          const CausalConv conv{x.data(), w.data(), bias.data(), y.data(), channels, kernel};
          for (const auto& [begin, end] : {std::pair(int64_t{0}, cut), std::pair(cut, kTokens)}) {
            const RecurrentSequence s{kRows + begin, kRows + end, state.data()};
            variant.conv(conv, s, 0, channels / 2);
            variant.conv(conv, s, channels / 2, channels);
          }
          for (int64_t c = 0; c < channels; ++c) {
            const auto input = [&](int64_t t) {
              return double{t < 0 ? before[c * (kernel - 1) + t + kernel - 1]
                                  : x[(kRows + t) * channels + c]};
            };
            for (int64_t t = 0; t < kTokens; ++t) {
              double sum = bias[c];
              for (int64_t k = 0; k < kernel; ++k)
                sum += w[k * channels + c] * input(t - kernel + 1 + k);
              EXPECT_NEAR(y[(kRows + t) * channels + c], sum, 1e-5) << variant.name;
            }
            for (int64_t k = 0; k < kernel - 1; ++k)
              EXPECT_EQ(state[c * (kernel - 1) + k], input(kTokens - kernel + 1 + k));
          }
        }
      }
    }
  }
}

TEST(RecurrenceTest, StateSpaceOfEveryVariantIsTheFormulaInFp64HoweverItIsCut) {
  constexpr int64_t kHeads = 4, kSize = 7, kGroups = 2;
  for (const RecurrenceVariant& variant : RecurrenceVariants(Cpu())) {
    for (const int64_t n : {1, 16, 21, 64}) {
      const int64_t rows = kRows + kTokens;
      const auto x = Random(rows * kHeads * kSize, 1), dt = Random(rows * kHeads, 2);
      const auto b = Random(rows * kGroups * n, 3), c = Random(rows * kGroups * n, 4);
      const auto skip = Random(kHeads, 5), dt_bias = Random(kHeads, 6);
      const std::vector<float> a = {-0.1f, -0.5f, -1, -3};
      const auto before = Random(kHeads * kSize * n, 7);
      std::vector<float> whole;
      for (const int64_t cut : {0, 1, 5}) {
        std::vector<float> state = before, y(x.size());
        const StateSpace space{x.data(),    dt.data(),      a.data(), b.data(), c.data(),
                               skip.data(), dt_bias.data(), 0.3f,     2.0f,     y.data(),
                               kHeads,      kSize,          kGroups,  n};
        for (int64_t head = 0; head < kHeads; ++head) {
          variant.space(space, {kRows, kRows + cut, state.data()}, head);
          variant.space(space, {kRows + cut, kRows + kTokens, state.data()}, head);
        }
        if (whole.empty()) whole = y;
        EXPECT_EQ(y, whole) << variant.name << ", cut at " << cut;
      }
      for (int64_t head = 0; head < kHeads; ++head) {
        for (int64_t i = 0; i < kSize; ++i) {
          std::vector<double> h;
          for (int64_t j = 0; j < n; ++j) h.push_back(before[(head * kSize + i) * n + j]);
          for (int64_t t = kRows; t < rows; ++t) {
            const double d = std::min(
                2.0, std::max<double>(0.3f, std::log1p(std::exp(double{dt[t * kHeads + head]} +
                                                                dt_bias[head]))));
            const double in = x[(t * kHeads + head) * kSize + i];
            double y = skip[head] * in;
            for (int64_t j = 0; j < n; ++j) {
              const int64_t at = (t * kGroups + head / (kHeads / kGroups)) * n + j;
              h[j] = std::exp(d * a[head]) * h[j] + d * in * b[at];
              y += h[j] * c[at];
            }
            EXPECT_NEAR(whole[(t * kHeads + head) * kSize + i], y, 1e-4 * (1 + std::abs(y)))
                << variant.name << ", " << n;
          }
        }
      }
    }
  }
}

TEST(RecurrenceTest, SelectiveScanOfEveryVariantIsTheFormulaInFp64HoweverItIsCut) {
  constexpr int64_t kChannels = 5;
  for (const RecurrenceVariant& variant : RecurrenceVariants(Cpu())) {
    for (const int64_t n : {1, 16, 21}) {
      const int64_t rows = kRows + kTokens;
      const auto x = Random(rows * kChannels, 1), dt = Random(rows * kChannels, 2);
      const auto b = Random(rows * n, 3), c = Random(rows * n, 4);
      const auto skip = Random(kChannels, 5), dt_bias = Random(kChannels, 6);
      std::vector<float> a = Random(kChannels * n, 8), whole;
      for (float& one : a) one = -std::abs(one);
      const auto before = Random(kChannels * n, 7);
      for (const int64_t cut : {0, 1, 5}) {
        std::vector<float> state = before, y(x.size());
        const SelectiveScan scan{x.data(),    dt.data(),      a.data(), b.data(),  c.data(),
                                 skip.data(), dt_bias.data(), y.data(), kChannels, n};
        for (const auto& [first, last] : {std::pair<int64_t, int64_t>{0, 2}, {2, kChannels}}) {
          variant.selective(scan, {kRows, kRows + cut, state.data()}, first, last);
          variant.selective(scan, {kRows + cut, rows, state.data()}, first, last);
        }
        if (whole.empty()) whole = y;
        EXPECT_EQ(y, whole) << variant.name << ", cut at " << cut;
      }
      for (int64_t i = 0; i < kChannels; ++i) {
        std::vector<double> h(before.begin() + i * n, before.begin() + (i + 1) * n);
        for (int64_t t = kRows; t < rows; ++t) {
          const double in = x[t * kChannels + i];
          const double d = std::log1p(std::exp(double{dt[t * kChannels + i]} + dt_bias[i]));
          double y = skip[i] * in;
          for (int64_t j = 0; j < n; ++j) {
            h[j] = std::exp(d * a[i * n + j]) * h[j] + d * in * b[t * n + j];
            y += h[j] * c[t * n + j];
          }
          EXPECT_NEAR(whole[t * kChannels + i], y, 1e-4 * (1 + std::abs(y))) << variant.name;
        }
      }
    }
  }
}

// Gates of a head or of each key, with beta (the delta rule) and without (linear attention).
struct DeltaCase {
  bool gated, by_key, delta;
};

TEST(RecurrenceTest, DeltaRuleOfEveryVariantIsTheFormulaInFp64HoweverItIsCut) {
  constexpr int64_t kHeads = 4, kGroups = 2, kKeys = 5;
  for (const RecurrenceVariant& variant : RecurrenceVariants(Cpu())) {
    for (const DeltaCase& of : {DeltaCase{true, false, true}, DeltaCase{true, true, true},
                                DeltaCase{true, true, false}, DeltaCase{false, false, false}}) {
      for (const int64_t n : {1, 16, 37}) {
        const int64_t rows = kRows + kTokens;
        auto q = Random(rows * kGroups * kKeys, 1), k = Random(rows * kGroups * kKeys, 2);
        const auto v = Random(rows * kHeads * n, 3);
        auto g = Random(rows * kHeads * (of.by_key ? kKeys : 1), 4),
             beta = Random(rows * kHeads, 5);
        for (float& one : g) one = -std::abs(one);
        for (float& one : beta) one = 1 / (1 + std::exp(-one));
        for (float& one : k) one /= 3;  // keys of length 1 or so, or it grows
        const auto before = Random(kHeads * kKeys * n, 6);
        std::vector<float> whole;
        for (const int64_t cut : {0, 1, 5}) {
          std::vector<float> state = before, y(v.size());
          const DeltaRule rule{q.data(),
                               k.data(),
                               v.data(),
                               of.gated ? g.data() : nullptr,
                               of.delta ? beta.data() : nullptr,
                               y.data(),
                               kHeads,
                               kGroups,
                               kKeys,
                               n,
                               of.by_key};
          for (int64_t head = 0; head < kHeads; ++head) {
            variant.delta(rule, {kRows, kRows + cut, state.data()}, head);
            variant.delta(rule, {kRows + cut, rows, state.data()}, head);
          }
          if (whole.empty()) whole = y;
          EXPECT_EQ(y, whole) << variant.name << ", cut at " << cut;
        }
        for (int64_t head = 0; head < kHeads; ++head) {
          for (int64_t j = 0; j < n; ++j) {
            std::vector<double> s;
            for (int64_t i = 0; i < kKeys; ++i) s.push_back(before[(head * kKeys + i) * n + j]);
            for (int64_t t = kRows; t < rows; ++t) {
              const int64_t at = t * kHeads + head;
              const int64_t keys = (t * kGroups + head / (kHeads / kGroups)) * kKeys;
              double known = 0, y = 0;
              for (int64_t i = 0; i < kKeys; ++i) {
                if (of.gated) s[i] *= std::exp(double{g[of.by_key ? at * kKeys + i : at]});
                known += s[i] * k[keys + i];
              }
              const double delta = of.delta ? beta[at] * (v[at * n + j] - known) : v[at * n + j];
              for (int64_t i = 0; i < kKeys; ++i) {
                s[i] += k[keys + i] * delta;
                y += s[i] * q[keys + i];
              }
              EXPECT_NEAR(whole[at * n + j], y, 1e-4 * (1 + std::abs(y))) << variant.name;
            }
          }
        }
      }
    }
  }
}

TEST(RecurrenceTest, ChannelScanOfEveryVariantIsTheFormulaInFp64HoweverItIsCut) {
  for (const RecurrenceVariant& variant : RecurrenceVariants(Cpu())) {
    for (const int64_t channels : {1, 16, 37}) {
      const int64_t rows = kRows + kTokens;
      const auto x = Random(rows * channels, 1), a = Random(rows * channels, 2),
                 before = Random(channels, 3);
      for (const int64_t cut : {0, 1, 5}) {
        std::vector<float> state = before, y(x.size());
        const ChannelScan scan{x.data(), a.data(), y.data(), channels};
        for (const auto& [begin, end] : {std::pair(kRows, kRows + cut), {kRows + cut, rows}}) {
          variant.scan(scan, {begin, end, state.data()}, 0, channels / 2);
          variant.scan(scan, {begin, end, state.data()}, channels / 2, channels);
        }
        for (int64_t c = 0; c < channels; ++c) {
          double h = before[c];
          for (int64_t t = kRows; t < rows; ++t) {
            h = h * a[t * channels + c] + x[t * channels + c];
            EXPECT_NEAR(y[t * channels + c], h, 1e-4 * (1 + std::abs(h))) << variant.name;
          }
          EXPECT_NEAR(state[c], h, 1e-4 * (1 + std::abs(h))) << variant.name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace keel
