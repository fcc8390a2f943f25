#include "core/kernels/gemv_bf16.h"

#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

float ToFloat(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, sizeof(x));
  return x;
}

uint16_t ToBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Matrices with rows farther apart than they are long; what lies between is NaN and must not count.
struct Problem {
  int64_t m, n, k, ldx, ldw, ldy;
  std::vector<uint16_t> x, w, bias, y;

  Problem(int64_t m_in, int64_t n_in, int64_t k_in, int seed)
      : m(m_in), n(n_in), k(k_in), ldx(k + 3), ldw(k + 5), ldy(n + 7) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    x.assign(m * ldx, 0x7fc0);
    w.assign(n * ldw, 0x7fc0);
    y.assign(m * ldy, 0x7fc0);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < k; ++j) x[i * ldx + j] = ToBf16(normal(random));
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < k; ++j) w[i * ldw + j] = ToBf16(normal(random));
      bias.push_back(ToBf16(normal(random)));
    }
  }

  GemvBf16 Call(bool with_bias) {
    GemvBf16 g;
    g.m = m, g.n = n, g.k = k;
    g.x = x.data(), g.w = w.data(), g.y = y.data();
    g.bias = with_bias ? bias.data() : nullptr;
    g.ldx = ldx, g.ldw = ldw, g.ldy = ldy;
    return g;
  }

  // In fp64, against the bound that the header states plus half a bf16 step.
  void Check(bool with_bias, const std::string& what) const {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = with_bias ? ToFloat(bias[j]) : 0.0, magnitude = std::abs(sum);
        for (int64_t t = 0; t < k; ++t) {
          const double product = double{ToFloat(x[i * ldx + t])} * ToFloat(w[j * ldw + t]);
          sum += product;
          magnitude += std::abs(product);
        }
        const double bound =
            2.0 * static_cast<double>(k) * std::ldexp(magnitude, -24) + std::abs(sum) / 256.0;
        ASSERT_LE(std::abs(ToFloat(y[i * ldy + j]) - sum), bound)
            << what << " m " << i << " of " << m << ", n " << j << " of " << n << ", k " << k;
      }
      for (int64_t j = n; j < ldy; ++j) ASSERT_EQ(y[i * ldy + j], 0x7fc0) << "wrote past a row";
    }
  }
};

TEST(GemvBf16Test, EveryVariantAgreesWithFp64AtAllSmallMAndOddSizes) {
  std::string ran;
  for (const GemvBf16Variant& variant : GemvBf16Variants(Cpu())) {
    ran += " " + variant.name;
    int seed = 0;
    for (int64_t m = 1; m <= 17; ++m) {
      for (const auto& [n, k] : {std::pair<int64_t, int64_t>{7, 33}, {4, 64}, {1, 1}, {13, 127}}) {
        for (bool with_bias : {false, true}) {
          Problem problem(m, n, k, ++seed);
          variant.run(problem.Call(with_bias), 0, n);
          problem.Check(with_bias, variant.name);
        }
      }
    }
  }
  std::cout << "variants run:" << ran << "\n";
}

TEST(GemvBf16Test, EveryTailOfKIsTaken) {
  for (const GemvBf16Variant& variant : GemvBf16Variants(Cpu())) {
    for (int64_t k = 1; k <= 70; ++k) {
      Problem problem(3, 6, k, static_cast<int>(k));
      variant.run(problem.Call(false), 0, 6);
      problem.Check(false, variant.name);
    }
  }
}

TEST(GemvBf16Test, ThreadsTogetherCoverAllColumns) {
  Problem problem(2, 1003, 256, 5);
  RunGemvBf16(problem.Call(true));
  problem.Check(true, "all threads");
}

TEST(GemvBf16Test, InfinitiesAndNaNsComeThrough) {
  for (const GemvBf16Variant& variant : GemvBf16Variants(Cpu())) {
    Problem problem(1, 5, 40, 1);
    problem.w[0] = ToBf16(std::numeric_limits<float>::infinity());
    problem.w[problem.ldw + 1] = 0x7fc0;
    variant.run(problem.Call(false), 0, 5);
    EXPECT_TRUE(std::isinf(ToFloat(problem.y[0]))) << variant.name;
    EXPECT_TRUE(std::isnan(ToFloat(problem.y[1]))) << variant.name;
  }
}

}  // namespace
}  // namespace keel
