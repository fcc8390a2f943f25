#include "core/kernels/kernel_table.h"

#include <string>

#include "gtest/gtest.h"

namespace keel {
namespace {

std::string Linear(c10::ScalarType type, Numerics numerics,
                   c10::DeviceType device = c10::DeviceType::CPU) {
  return LinearKernel({device, type, numerics}).name;
}

TEST(KernelTableTest, LinearsGoByTheirNumerics) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    EXPECT_EQ(Linear(type, Numerics::kFastest), "aten");
    EXPECT_EQ(Linear(type, Numerics::kInvariant), "invariant");
  }
  EXPECT_EQ(Linear(at::kDouble, Numerics::kFastest), "aten");
  EXPECT_THROW(Linear(at::kDouble, Numerics::kInvariant), c10::Error);
}

TEST(KernelTableTest, AnotherDeviceHasAtensOwn) {
  EXPECT_EQ(Linear(at::kBFloat16, Numerics::kFastest, c10::DeviceType::CUDA), "aten");
  const KernelKey cuda{c10::DeviceType::CUDA, at::kBFloat16, Numerics::kFastest};
  EXPECT_EQ(NormKernel(cuda), nullptr);
  EXPECT_EQ(RopeKernel(cuda), nullptr);
}

TEST(KernelTableTest, NormsAndRopeOfFloatsAreFused) {
  for (const Numerics numerics : {Numerics::kFastest, Numerics::kInvariant}) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const KernelKey key{c10::DeviceType::CPU, type, numerics};
      ASSERT_NE(NormKernel(key), nullptr);
      ASSERT_NE(RopeKernel(key), nullptr);
    }
    EXPECT_EQ(NormKernel({c10::DeviceType::CPU, at::kDouble, numerics}), nullptr);
    EXPECT_EQ(RopeKernel({c10::DeviceType::CPU, at::kLong, numerics}), nullptr);
  }
}

}  // namespace
}  // namespace keel
