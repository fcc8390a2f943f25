#include "core/kernels/weighted_rows.h"

#include <cmath>
#include <iostream>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

// Rows of bf16 with none, one and several parts; sizes beside multiples of the lanes.
TEST(WeightedRowsTest, EachVariantSumsInFp32AndRoundsOnce) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (const int64_t size : {1, 15, 16, 100, 257}) {
    std::vector<uint16_t> x(9 * size);
    for (uint16_t& v : x) v = lanes::BF16::Store(normal(random));
    const std::vector<int64_t> first = {0, 3, 3, 4, 9}, row_of = {8, 0, 5, 2, 1, 3, 3, 7, 6};
    std::vector<float> weights;
    for (size_t i = 0; i < row_of.size(); ++i) weights.push_back(normal(random));
    WeightedRows sum;
    sum.type = KernelType::kBF16;
    sum.x = x.data();
    sum.first = first.data();
    sum.row_of = row_of.data();
    sum.weights = weights.data();
    sum.rows = 4;
    sum.size = size;
    for (const WeightedRowsVariant& variant : WeightedRowsVariants(Cpu())) {
      std::vector<uint16_t> y(4 * size, 0xffff);
      sum.y = y.data();
      variant.run(sum, 0, 2);
      variant.run(sum, 2, 4);
      for (int64_t row = 0; row < 4; ++row) {
        for (int64_t j = 0; j < size; ++j) {
          double expected = 0;
          for (int64_t i = first[row]; i < first[row + 1]; ++i)
            expected += weights[i] * lanes::BF16::Load(&x[row_of[i] * size + j]);
          EXPECT_NEAR(lanes::BF16::Load(&y[row * size + j]), expected,
                      std::abs(expected) / 128 + 1e-5)
              << variant.name << ", row " << row << ", column " << j << " of " << size;
        }
      }
    }
  }
  for (const WeightedRowsVariant& variant : WeightedRowsVariants(Cpu()))
    std::cout << "ran " << variant.name << "\n";
}

}  // namespace
}  // namespace keel
