#include "core/kernels/invariant_linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

// Element types as the test sees them: kStep is what one rounding may change.
struct F32 {
  using Element = lanes::F32;
  static constexpr KernelType kType = KernelType::kF32;
  static constexpr double kStep = 1.0 / (1 << 23);
};
struct BF16 {
  using Element = lanes::BF16;
  static constexpr KernelType kType = KernelType::kBF16;
  static constexpr double kStep = 1.0 / (1 << 8);
};
struct F16 {
  using Element = lanes::F16;
  static constexpr KernelType kType = KernelType::kF16;
  static constexpr double kStep = 1.0 / (1 << 11);
};

// Matrices with rows farther apart than they are long.
template <typename T>
struct Problem {
  using S = typename T::Element::Storage;
  InvariantLinear linear;
  std::vector<S> x, w, bias, y;
  std::vector<float> wide_x;

  Problem(int64_t m, int64_t n, int64_t k, bool with_bias, int seed = 1) {
    linear.type = T::kType;
    linear.m = m, linear.n = n, linear.k = k;
    linear.ldx = k + 3, linear.ldw = k + 5, linear.ldy = n + 7;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<S>* out, int64_t size) {
      for (int64_t i = 0; i < size; ++i) out->push_back(T::Element::Store(normal(random)));
    };
    fill(&bias, n);
    fill(&w, n * linear.ldw);
    fill(&x, m * linear.ldx);
    y.resize(m * linear.ldy);
    linear.x = x.data(), linear.w = w.data(), linear.y = y.data();
    linear.bias = with_bias ? bias.data() : nullptr;
  }

  void Run(const InvariantLinearVariant& variant) {
    wide_x.resize(linear.m * InvariantLinearStride(linear.k));
    WidenRows(linear, 0, linear.m, wide_x.data());
    variant.run(linear, wide_x.data(), {0, linear.m, 0, linear.n});
  }

  // In fp64; each of k sums and products rounds once, in fp32.
  void Check(const std::string& what) const {
    const auto value = [](const S& s) { return double{T::Element::Load(&s)}; };
    for (int64_t i = 0; i < linear.m; ++i) {
      for (int64_t j = 0; j < linear.n; ++j) {
        double sum = linear.bias == nullptr ? 0.0 : value(bias[j]), magnitude = std::abs(sum);
        for (int64_t k = 0; k < linear.k; ++k) {
          const double product = value(x[i * linear.ldx + k]) * value(w[j * linear.ldw + k]);
          sum += product;
          magnitude += std::abs(product);
        }
        const double bound = 2.0 * static_cast<double>(linear.k + 1) * std::ldexp(magnitude, -24) +
                             std::abs(sum) * T::kStep;
        ASSERT_LE(std::abs(value(y[i * linear.ldy + j]) - sum), bound)
            << what << ", row " << i << " of " << linear.m << ", column " << j << " of " << linear.n
            << ", k " << linear.k;
      }
    }
  }

  std::vector<S> Row(int64_t i) const {
    return {y.begin() + i * linear.ldy, y.begin() + i * linear.ldy + linear.n};
  }
};

template <typename S>
bool SameBits(const std::vector<S>& a, const std::vector<S>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(S)) == 0;
}

template <typename T>
class InvariantLinearTest : public ::testing::Test {};
using ElementTypes = ::testing::Types<F32, BF16, F16>;
TYPED_TEST_SUITE(InvariantLinearTest, ElementTypes);

TYPED_TEST(InvariantLinearTest, EveryVariantAgreesWithFp64) {
  std::string ran;
  for (const InvariantLinearVariant& variant : InvariantLinearVariants(Cpu())) {
    ran += " " + variant.name;
    for (const auto& [m, n, k] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
             {1, 1, 1}, {2, 7, 33}, {3, 13, 64}, {13, 4, 127}, {5, 50, 16}, {50, 5, 2100}}) {
      for (const bool with_bias : {false, true}) {
        Problem<TypeParam> problem(m, n, k, with_bias);
        problem.Run(variant);
        problem.Check(variant.name);
      }
    }
    for (int64_t k = 0; k <= 40; ++k) {
      Problem<TypeParam> problem(7, 5, k, true);
      problem.Run(variant);
      problem.Check(variant.name);
    }
  }
  std::cout << "variants run:" << ran << "\n";
}

// k = 2100 goes in pieces where rows are many and at once where they are few.
TYPED_TEST(InvariantLinearTest, ARowHasTheSameBitsAloneAndAmongAnyNumberOfOthers) {
  for (const InvariantLinearVariant& variant : InvariantLinearVariants(Cpu())) {
    for (const int64_t k : {45, 2100}) {
      Problem<TypeParam> all(61, 53, k, true);
      all.Run(variant);
      for (int64_t first = 0; first < 61; first += 3) {
        for (const int64_t rows : {1, 2, 3, 4, 5, 6, 11, 49}) {
          if (first + rows > 61) continue;
          Problem<TypeParam> few = all;
          few.linear.w = few.w.data(), few.linear.bias = few.bias.data();
          few.linear.x = few.x.data() + first * few.linear.ldx, few.linear.y = few.y.data();
          few.linear.m = rows;
          few.Run(variant);
          for (int64_t i = 0; i < rows; ++i) {
            ASSERT_TRUE(SameBits(few.Row(i), all.Row(first + i)))
                << variant.name << ", k " << k << ", row " << i << " of " << rows;
          }
        }
      }
    }
  }
}

TYPED_TEST(InvariantLinearTest, AnyPartsOfAProductMakeTheSameWhole) {
  for (const InvariantLinearVariant& variant : InvariantLinearVariants(Cpu())) {
    Problem<TypeParam> whole(10, 103, 77, true);
    whole.Run(variant);
    Problem<TypeParam> parts(10, 103, 77, true);
    parts.wide_x = whole.wide_x;
    std::mt19937 random(1);
    for (int64_t m = 0; m < 10;) {
      const int64_t m_end = std::min<int64_t>(10, m + 1 + random() % 7);
      for (int64_t n = 0; n < 103;) {
        const int64_t n_end = std::min<int64_t>(103, n + 1 + random() % 60);
        variant.run(parts.linear, parts.wide_x.data(), {m, m_end, n, n_end});
        n = n_end;
      }
      m = m_end;
    }
    for (int64_t i = 0; i < 10; ++i) {
      EXPECT_TRUE(SameBits(parts.Row(i), whole.Row(i))) << variant.name;
    }
  }
}

TYPED_TEST(InvariantLinearTest, AllThreadsGiveWhatTheFastestVariantDoes) {
  for (const int64_t m : {1, 100}) {
    Problem<TypeParam> one(m, 1003, 256, true), all(m, 1003, 256, true);
    one.Run(InvariantLinearVariants(Cpu()).back());
    RunInvariantLinear(all.linear);
    for (int64_t i = 0; i < m; ++i) EXPECT_TRUE(SameBits(one.Row(i), all.Row(i)));
  }
}

}  // namespace
}  // namespace keel
