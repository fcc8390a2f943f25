// The edges of ops as sdk/abi/plugin.h states them.
#include "core/ops/tensor_ops.h"

#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/graph/op_attributes.h"
#include "core/ops/invariant.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

at::Tensor F(std::vector<float> values) { return at::tensor(values); }
at::Tensor I(std::vector<int64_t> values) { return at::tensor(values); }

// The same in both kinds of numerics.
at::Tensor RunOp(const proto::Node& node, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> fastest, invariant;
  RunTensorOp(node, inputs, DType::kF32, Numerics::kFastest, &fastest);
  RunTensorOp(node, inputs, DType::kF32, Numerics::kInvariant, &invariant);
  EXPECT_TRUE(fastest[0].scalar_type() == invariant[0].scalar_type());
  return fastest[0];
}

std::vector<float> Floats(const at::Tensor& x) {
  const at::Tensor y = x.to(at::kFloat).contiguous();
  return {y.const_data_ptr<float>(), y.const_data_ptr<float>() + y.numel()};
}

TEST(TensorOpsTest, ACastToAnIntegerGoesTowardsZeroAndToBoolAsksForNotZero) {
  const at::Tensor x = F({-1.9f, -0.5f, 0, 0.5f, 1.9f});
  EXPECT_THAT(Floats(RunOp(op::Cast::Make(KEEL_I64), {x})), ElementsAre(-1, 0, 0, 0, 1));
  EXPECT_THAT(Floats(RunOp(op::Cast::Make(KEEL_BOOL), {F({-0.5f, 0, kNan})})),
              ElementsAre(1, 0, 1));
}

TEST(TensorOpsTest, AComparisonWithANanIsFalseButForNotEqual) {
  const at::Tensor a = F({1, 2, kNan}), b = F({2, 2, kNan});
  const auto compare = [&](int64_t kind) {
    return Floats(RunOp(op::OfKind::Make(proto::OP_COMPARE, kind), {a, b}));
  };
  EXPECT_THAT(compare(KEEL_COMPARE_EQ), ElementsAre(0, 1, 0));
  EXPECT_THAT(compare(KEEL_COMPARE_NE), ElementsAre(1, 0, 1));
  EXPECT_THAT(compare(KEEL_COMPARE_LT), ElementsAre(1, 0, 0));
  EXPECT_THAT(compare(KEEL_COMPARE_LE), ElementsAre(1, 1, 0));
  EXPECT_THAT(compare(KEEL_COMPARE_GT), ElementsAre(0, 0, 0));
  EXPECT_THAT(compare(KEEL_COMPARE_GE), ElementsAre(0, 1, 0));
}

TEST(TensorOpsTest, LogicalFunctionsAreOfBool) {
  const at::Tensor a = F({0, 0, 1, 1}).to(at::kBool), b = F({0, 1, 0, 1}).to(at::kBool);
  const auto logical = [&](int64_t kind) {
    return Floats(RunOp(op::OfKind::Make(proto::OP_LOGICAL, kind), {a, b}));
  };
  EXPECT_THAT(logical(KEEL_LOGICAL_AND), ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(logical(KEEL_LOGICAL_OR), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(logical(KEEL_LOGICAL_XOR), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(Floats(RunOp(op::Unary::Make(KEEL_UNARY_NOT), {a})), ElementsAre(1, 1, 0, 0));
}

TEST(TensorOpsTest, TheSmallerAndTheLargerKeepANan) {
  const at::Tensor a = F({1, kNan, 3}), b = F({2, 2, kNan});
  const std::vector<float> low =
      Floats(RunOp(op::OfKind::Make(proto::OP_BINARY, KEEL_BINARY_MIN), {a, b}));
  const std::vector<float> high =
      Floats(RunOp(op::OfKind::Make(proto::OP_BINARY, KEEL_BINARY_MAX), {a, b}));
  EXPECT_EQ(low[0], 1);
  EXPECT_EQ(high[0], 2);
  EXPECT_TRUE(std::isnan(low[1]) && std::isnan(low[2]) && std::isnan(high[1]) &&
              std::isnan(high[2]));
}

TEST(TensorOpsTest, TakeBroadcastsBesideItsDimension) {
  const at::Tensor x = F({10, 20, 30}).view({1, 3}), indices = I({2, 0, 1, 1}).view({2, 2});
  const at::Tensor y = RunOp(op::AlongDim::Make(proto::OP_TAKE, -1), {x, indices});
  EXPECT_THAT(Floats(y), ElementsAre(30, 10, 20, 20));
  EXPECT_EQ(y.dim(), 2);
}

TEST(TensorOpsTest, AnIndexOutOfRangeIsTheNearestThatExists) {
  const at::Tensor x = F({10, 20, 30}), indices = I({3, -1, int64_t{1} << 40});
  const at::Tensor rows = x.view({3, 1}), one = F({1});
  EXPECT_THAT(Floats(RunOp(op::AlongDim::Make(proto::OP_TAKE, 0), {x, indices})),
              ElementsAre(30, 10, 30));
  EXPECT_THAT(Floats(RunOp(op::MakeNode(proto::OP_GATHER_ROWS), {rows, indices})),
              ElementsAre(30, 10, 30));
  for (const int64_t past : {int64_t{3}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(Floats(RunOp(op::AlongDim::Make(proto::OP_SCATTER, 0), {x, I({past}), one})),
                ElementsAre(10, 20, 1));
    EXPECT_THAT(
        Floats(RunOp(op::MakeNode(proto::OP_PUT_ROWS), {rows, I({past}), one.view({1, 1})})),
        ElementsAre(10, 20, 1));
    EXPECT_THAT(Floats(RunOp(op::AlongDim::Make(proto::OP_SCATTER, 0), {x, I({-past}), one})),
                ElementsAre(1, 20, 30));
  }
}

TEST(TensorOpsTest, OfAnIndexThatComesTwiceTheLastValueStays) {
  const at::Tensor x = F({10, 20, 30, 40}), indices = I({1, 3, 1}), values = F({1, 2, 3});
  EXPECT_THAT(Floats(RunOp(op::AlongDim::Make(proto::OP_SCATTER, 0), {x, indices, values})),
              ElementsAre(10, 3, 30, 2));
  EXPECT_THAT(Floats(x), ElementsAre(10, 20, 30, 40)) << "its operand stays";
}

TEST(TensorOpsTest, WholeNumbersStayWholeInAffineAndClamp) {
  const at::Tensor x = I({-5, 0, int64_t{1} << 40});
  const at::Tensor y = RunOp(op::Affine::Make(3, -1), {x});
  EXPECT_EQ(y.scalar_type(), at::kLong);
  EXPECT_EQ(y.const_data_ptr<int64_t>()[2], 3 * (int64_t{1} << 40) - 1);
  const at::Tensor z = RunOp(op::Clamp::Make(-kInfinity, 7), {x});
  EXPECT_EQ(z.scalar_type(), at::kLong);
  EXPECT_THAT(Floats(z), ElementsAre(-5, 0, 7));
}

TEST(TensorOpsTest, AClampKeepsNanAndAnInfiniteBoundIsNone) {
  const std::vector<float> y = Floats(RunOp(op::Clamp::Make(-1, kInfinity), {F({-3, 5, kNan})}));
  EXPECT_EQ(y[0], -1);
  EXPECT_EQ(y[1], 5);
  EXPECT_TRUE(std::isnan(y[2]));
}

TEST(TensorOpsTest, ExpandRepeatsWhatIsOneOrAbsent) {
  const at::Tensor like = F({0, 0, 0, 0}).view({2, 2});
  EXPECT_THAT(Floats(RunOp(op::MakeNode(proto::OP_EXPAND), {F({1, 2}), like})),
              ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(Floats(RunOp(op::MakeNode(proto::OP_EXPAND), {F({1, 2}).view({2, 1}), like})),
              ElementsAre(1, 1, 2, 2));
}

TEST(TensorOpsTest, FloorExpm1AndErf) {
  const at::Tensor x = F({-0.5f, 0, 1.5f});
  EXPECT_THAT(Floats(RunOp(op::Unary::Make(KEEL_UNARY_FLOOR), {x})), ElementsAre(-1, 0, 1));
  for (int i = 0; i < 3; ++i) {
    const float value = x.const_data_ptr<float>()[i];
    EXPECT_NEAR(Floats(RunOp(op::Unary::Make(KEEL_UNARY_EXPM1), {x}))[i], std::expm1(value), 1e-6);
    EXPECT_NEAR(Floats(RunOp(op::Unary::Make(KEEL_UNARY_ERF), {x}))[i], std::erf(value), 1e-6);
  }
}

}  // namespace
}  // namespace keel
