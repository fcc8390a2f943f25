#include "core/kernels/fused_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>

#include "gtest/gtest.h"

namespace keel {
namespace {

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a.to(at::kDouble) - b.to(at::kDouble)).max().item<double>();
}

TEST(FusedRowsTest, NormsAreTheirFormulasForAnyStridesAndDimensions) {
  const at::Tensor weight = at::randn({24}), bias = at::randn({24});
  const at::Tensor x = at::randn({5, 3, 48}).narrow(2, 7, 24);  // strided
  const NormTensors rms{24, weight, {}, 1e-5};
  const at::Tensor expected = x / (x.square().mean(-1, true) + 1e-5).sqrt() * weight;
  EXPECT_LT(Difference(FusedNorm(x, rms), expected), 1e-5);
  EXPECT_TRUE(at::equal(FusedNorm(x, rms), FusedNorm(x.contiguous(), rms)));
  const at::Tensor layer = at::layer_norm(x, {24}, weight, bias, 1e-5);
  EXPECT_LT(Difference(FusedNorm(x, {24, weight, bias, 1e-5, /*center=*/true}), layer), 1e-5);
}

TEST(FusedRowsTest, ActivationsAreAtensForAnyStrides) {
  const at::Tensor x = at::randn({5, 48}).mul(4).narrow(1, 7, 21);
  EXPECT_LT(Difference(FusedActivation(x, Act::kSilu), at::silu(x)), 1e-6);
  EXPECT_LT(Difference(FusedActivation(x, Act::kGelu), at::gelu(x, "none")), 2e-6);
  EXPECT_LT(Difference(FusedActivation(x, Act::kGeluTanh), at::gelu(x, "tanh")), 2e-6);
}

TEST(FusedRowsTest, RopeRotatesHalvesForAnyStrides) {
  const at::Tensor cos = at::randn({5, 8}), sin = at::randn({5, 8});
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  for (const at::Tensor& x : {at::randn({5, 3, 16}), at::randn({5, 3, 40}).narrow(2, 3, 16),
                              at::randn({5, 16, 3}).transpose(1, 2)}) {
    const at::Tensor a = x.narrow(2, 0, 8), b = x.narrow(2, 8, 8);
    const at::Tensor expected = at::cat({a * c - b * s, b * c + a * s}, 2);
    EXPECT_LT(Difference(FusedRope(x, cos, sin), expected), 1e-5);
    const at::Tensor longer = at::cat({x, at::randn({5, 3, 5})}, 2),
                     y = FusedRope(longer, cos, sin);
    EXPECT_LT(Difference(y.narrow(2, 0, 16), expected), 1e-5);
    EXPECT_TRUE(at::equal(y.narrow(2, 16, 5), longer.narrow(2, 16, 5)));
  }
}

TEST(FusedRowsTest, RopeByWideTablesIsRoundedOnce) {
  const at::Tensor cos = at::randn({5, 8}), sin = at::randn({5, 8});
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  const at::Tensor x = at::randn({5, 3, 16}).to(at::kBFloat16), wide = x.to(at::kFloat);
  const at::Tensor a = wide.narrow(2, 0, 8), b = wide.narrow(2, 8, 8);
  const at::Tensor expected = at::cat({a * c - b * s, b * c + a * s}, 2);
  const at::Tensor y = FusedRope(x, cos, sin);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT(Difference(y, expected.to(at::kBFloat16)), 1e-2);
  EXPECT_LT((y.to(at::kFloat) - expected).abs().div(expected.abs() + 1e-6).max().item<float>(),
            1.0 / 256);
}

TEST(FusedRowsTest, ElementsOfTwoThatAreAlikeAreAtens) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor a = at::randn({5, 21}).to(type), b = at::randn({5, 21}).to(type);
    EXPECT_TRUE(at::equal(*FusedElements(ElementOp::kAdd, a, b, Act::kSilu), a + b));
    EXPECT_TRUE(at::equal(*FusedElements(ElementOp::kSub, a, b, Act::kSilu), a - b));
    EXPECT_TRUE(at::equal(*FusedElements(ElementOp::kMul, a, b, Act::kSilu), a * b));
    const at::Tensor gated = *FusedElements(ElementOp::kActMul, a, b, Act::kSilu);
    EXPECT_TRUE(at::equal(gated, FusedActivation(a, Act::kSilu) * b));
    EXPECT_FALSE(FusedElements(ElementOp::kAdd, a, b.narrow(0, 0, 1), Act::kSilu).has_value());
    EXPECT_FALSE(FusedElements(ElementOp::kAdd, a, b.t(), Act::kSilu).has_value());
    EXPECT_FALSE(FusedElements(ElementOp::kAdd, a.t(), b.t(), Act::kSilu).has_value());
    EXPECT_EQ(FusedElements(ElementOp::kAdd, a[0][0], b[0][0], Act::kSilu)->dim(), 0);
    EXPECT_EQ(
        FusedElements(ElementOp::kAdd, a.narrow(1, 0, 0), b.narrow(1, 0, 0), Act::kSilu)->numel(),
        0);
  }
}

TEST(FusedRowsTest, OperandsThatDoNotFitAreRefused) {
  EXPECT_THROW(FusedNorm(at::randn({2, 8}), {8, at::randn({7}), {}, 1e-5}), c10::Error);
  EXPECT_THROW(FusedNorm(at::randn({2, 8}), {8, at::randn({8}).to(at::kHalf), {}, 1e-5}),
               c10::Error);
  EXPECT_THROW(FusedNorm(at::randn({2, 8}), {7, {}, {}, 1e-5}), c10::Error);
  EXPECT_THROW(FusedRope(at::randn({2, 3, 8}), at::randn({2, 3}), at::randn({2, 4})), c10::Error);
  EXPECT_THROW(FusedRope(at::randn({2, 3, 8}), at::randn({3, 4}), at::randn({3, 4})), c10::Error);
}

}  // namespace
}  // namespace keel
