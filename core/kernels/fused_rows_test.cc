#include "core/kernels/fused_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

#include "gtest/gtest.h"

namespace keel {
namespace {

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a.to(at::kDouble) - b.to(at::kDouble)).max().item<double>();
}

TEST(FusedRowsTest, RmsNormIsItsFormulaForAnyStridesAndDimensions) {
  const at::Tensor weight = at::randn({24});
  const at::Tensor x = at::randn({5, 3, 48}).narrow(2, 7, 24);  // strided
  const at::Tensor expected = x / (x.square().mean(-1, true) + 1e-5).sqrt() * weight;
  EXPECT_LT(Difference(FusedRmsNorm(x, weight, 1e-5), expected), 1e-5);
  EXPECT_TRUE(at::equal(FusedRmsNorm(x, weight, 1e-5), FusedRmsNorm(x.contiguous(), weight, 1e-5)));
}

TEST(FusedRowsTest, RopeRotatesHalvesForAnyStrides) {
  const at::Tensor cos = at::randn({5, 8}), sin = at::randn({5, 8});
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  for (const at::Tensor& x : {at::randn({5, 3, 16}), at::randn({5, 3, 40}).narrow(2, 3, 16),
                              at::randn({5, 16, 3}).transpose(1, 2)}) {
    const at::Tensor a = x.narrow(2, 0, 8), b = x.narrow(2, 8, 8);
    const at::Tensor expected = at::cat({a * c - b * s, b * c + a * s}, 2);
    EXPECT_LT(Difference(FusedRope(x, cos, sin), expected), 1e-5);
  }
}

TEST(FusedRowsTest, OperandsThatDoNotFitAreRefused) {
  EXPECT_THROW(FusedRmsNorm(at::randn({2, 8}), at::randn({7}), 1e-5), c10::Error);
  EXPECT_THROW(FusedRmsNorm(at::randn({2, 8}), at::randn({8}).to(at::kHalf), 1e-5), c10::Error);
  EXPECT_THROW(FusedRope(at::randn({2, 3, 8}), at::randn({2, 3}), at::randn({2, 4})), c10::Error);
  EXPECT_THROW(FusedRope(at::randn({2, 3, 8}), at::randn({3, 4}), at::randn({3, 4})), c10::Error);
}

}  // namespace
}  // namespace keel
