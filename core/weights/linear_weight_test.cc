#include "core/weights/linear_weight.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a - b).max().item<double>();
}

class DenseLinearTest : public ::testing::Test {
 protected:
  const at::Tensor weight_ = at::randn({12, 8}), bias_ = at::randn({12});
  const at::Tensor x_ = at::randn({5, 8});
  const at::Tensor expected_ = at::linear(x_, weight_, bias_);
};

TEST_F(DenseLinearTest, IsTheProductWithAndWithoutABiasOverAnyDimensions) {
  for (const Numerics numerics : {Numerics::kFastest, Numerics::kInvariant}) {
    EXPECT_LT(Difference(DenseLinear(weight_, bias_, numerics).Apply(x_), expected_), 1e-5);
    EXPECT_LT(Difference(DenseLinear(weight_, {}, numerics).Apply(x_), expected_ - bias_), 1e-5);
    const at::Tensor deep = x_.view({5, 1, 8}).expand({5, 3, 8});
    EXPECT_EQ(DenseLinear(weight_, bias_, numerics).Apply(deep).sizes(),
              (at::IntArrayRef{5, 3, 12}));
  }
}

TEST_F(DenseLinearTest, PartsOfRowsLieSideBySide) {
  const DenseLinear whole(weight_, bias_, Numerics::kFastest);
  std::vector<at::Tensor> parts;
  for (int rank = 0; rank < 3; ++rank)
    parts.push_back(whole.Shard({WeightSplit::kRows, 3}, rank)->Apply(x_));
  EXPECT_LT(Difference(at::cat(parts, 1), expected_), 1e-5);
}

TEST_F(DenseLinearTest, PartsOfColumnsAddUpWithTheBiasOnce) {
  const DenseLinear whole(weight_, bias_, Numerics::kFastest);
  const at::Tensor a = whole.Shard({WeightSplit::kColumns, 2}, 0)->Apply(x_.narrow(1, 0, 4));
  const at::Tensor b = whole.Shard({WeightSplit::kColumns, 2}, 1)->Apply(x_.narrow(1, 4, 4));
  EXPECT_LT(Difference(a + b, expected_), 1e-5);
}

TEST_F(DenseLinearTest, CountsTheBytesOfWeightAndBias) {
  const DenseLinear whole(weight_, bias_, Numerics::kFastest);
  EXPECT_EQ(whole.bytes(), 4 * (12 * 8 + 12));
  EXPECT_EQ(whole.Shard({WeightSplit::kRows, 2}, 1)->bytes(), 4 * (6 * 8 + 6));
  EXPECT_EQ(whole.Shard({WeightSplit::kColumns, 2}, 1)->bytes(), 4 * 12 * 4);
}

TEST_F(DenseLinearTest, ATensorOfAnotherSizeOrTypeIsRefused) {
  const DenseLinear linear(weight_, bias_, Numerics::kFastest);
  EXPECT_THROW(linear.Apply(at::randn({5, 7})), c10::Error);
  EXPECT_THROW(linear.Apply(x_.to(at::kBFloat16)), c10::Error);
}

}  // namespace
}  // namespace keel
