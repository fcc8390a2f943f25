#include "core/ops/rope.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kTrained = 8;

proto::Rope LongRope() {
  proto::Rope rope;
  rope.set_head_dim(4);
  rope.set_rotary_size(4);
  rope.set_original_max_positions(kTrained);
  for (const double f : {1.0, 0.1}) rope.add_inv_freq(f);
  for (const double f : {0.5, 0.05}) rope.add_long_inv_freq(f);
  return rope;
}

proto::Rope DynamicRope() {
  proto::Rope rope = LongRope();
  rope.clear_long_inv_freq();
  rope.set_theta(100);
  rope.set_dynamic_factor(2);
  return rope;
}

CosSin Table(const proto::Rope& rope, const at::Tensor& positions, std::vector<int64_t> lengths) {
  return MakeCosSin(rope, positions, lengths, at::kFloat, Numerics::kFastest);
}

float Cos(const CosSin& table, int64_t row) { return table.cos.const_data_ptr<float>()[row * 2]; }

TEST(RopeTest, ARowsFrequenciesGoByItsOwnLength) {
  const at::Tensor threes = at::full({4}, 3, at::kLong);
  const CosSin table = Table(LongRope(), threes, {8, 9, 4, 500});
  for (const int64_t row : {0, 2}) EXPECT_FLOAT_EQ(Cos(table, row), std::cos(3.0f)) << row;
  for (const int64_t row : {1, 3}) EXPECT_FLOAT_EQ(Cos(table, row), std::cos(1.5f)) << row;
}

TEST(RopeTest, DynamicNtkHasFrequenciesForEachLength) {
  const proto::Rope rope = DynamicRope();
  const at::Tensor ones = at::full({4}, 1, at::kLong);
  const CosSin table = Table(rope, ones, {8, 16, 16, 24});
  const auto second = [&](int64_t row) { return table.cos.const_data_ptr<float>()[row * 2 + 1]; };
  // transformers' _compute_dynamic_ntk_parameters: theta * (factor * length / trained - 1)^(4 / 2).
  const auto expected = [](double length) {
    const double theta = 100 * std::pow(2 * length / kTrained - 1, 2);
    return static_cast<float>(std::cos(std::pow(theta, -0.5)));
  };
  EXPECT_FLOAT_EQ(second(0), std::cos(0.1f));
  EXPECT_FLOAT_EQ(second(1), expected(16));
  EXPECT_FLOAT_EQ(second(2), expected(16));
  EXPECT_FLOAT_EQ(second(3), expected(24));
}

TEST(RopeTest, OutsideOfAStepAllIsOneText) {
  const at::Tensor positions = at::arange(9, at::kLong);
  EXPECT_FLOAT_EQ(Cos(Table(LongRope(), positions, {}), 2), std::cos(1.0f));
  EXPECT_FLOAT_EQ(Cos(Table(LongRope(), positions.narrow(0, 0, 8), {}), 2), std::cos(2.0f));
}

}  // namespace
}  // namespace keel
