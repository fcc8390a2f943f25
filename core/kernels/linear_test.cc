#include "core/kernels/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include "gtest/gtest.h"

namespace keel {
namespace {

using Linear = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&);

// The largest error, as a part of the largest result, against fp64.
double Error(Linear linear, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor expected = at::linear(x.to(at::kDouble), weight.to(at::kDouble),
                                         bias.defined() ? bias.to(at::kDouble) : bias);
  const at::Tensor y = linear(x, weight, bias);
  EXPECT_EQ(y.scalar_type(), x.scalar_type());
  EXPECT_EQ(y.sizes(), expected.sizes());
  return ((y.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

TEST(LinearTest, EveryWayIsTheProductUpToOneRounding) {
  for (const Linear linear : {&LinearAten, &LinearInvariant}) {
    for (const auto& [type, bound] :
         {std::pair{at::kFloat, 1e-6}, {at::kBFloat16, 4e-3}, {at::kHalf, 5e-4}}) {
      for (const int64_t rows : {1, 5, 16, 17, 70}) {
        const at::Tensor x = at::randn({rows, 96}).to(type);
        const at::Tensor weight = at::randn({130, 96}).to(type);
        EXPECT_LT(Error(linear, x, weight, at::randn({130}).to(type)), bound) << rows;
        EXPECT_LT(Error(linear, x, weight, {}), bound) << rows;
      }
    }
  }
}

TEST(LinearTest, TakesAnyNumberOfDimensionsAndStridedRows) {
  const at::Tensor weight = at::randn({10, 8}).to(at::kBFloat16);
  const at::Tensor x = at::randn({3, 20, 16}).to(at::kBFloat16).narrow(2, 4, 8);
  EXPECT_LT(Error(&LinearAten, x, weight, {}), 4e-3);
  EXPECT_LT(Error(&LinearInvariant, x, weight, {}), 4e-3);
}

TEST(LinearTest, AMatrixOfOneColumnMayHaveAnyStride) {
  const at::Tensor weight = at::randn({1, 10}).t(), x = at::randn({1, 4}).t();
  EXPECT_LT(Error(&LinearInvariant, x, weight, {}), 1e-6);
}

}  // namespace
}  // namespace keel
