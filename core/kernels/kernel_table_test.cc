#include "core/kernels/kernel_table.h"

#include <string>

#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr CpuFeatures kAvx2{.avx2 = true}, kAvx512{.avx2 = true, .avx512 = true};

std::string Linear(c10::ScalarType type, int64_t rows, const CpuFeatures& cpu,
                   Numerics numerics = Numerics::kFastest,
                   c10::DeviceType device = c10::DeviceType::CPU) {
  return LinearKernel({device, type, numerics}, rows, cpu).name;
}

TEST(KernelTableTest, DecodeOfBf16ReadsWeightsByGemvAndPrefillMultipliesMatrices) {
  EXPECT_EQ(Linear(at::kBFloat16, 1, kAvx512), "gemv");
  EXPECT_EQ(Linear(at::kBFloat16, 16, kAvx512), "gemv");
  EXPECT_EQ(Linear(at::kBFloat16, 17, kAvx512), "aten");
  EXPECT_EQ(Linear(at::kBFloat16, 0, kAvx512), "aten");
  EXPECT_EQ(Linear(at::kHalf, 1, kAvx512), "aten");
}

TEST(KernelTableTest, WithoutAvx512SixteenBitWeightsAreWidened) {
  EXPECT_EQ(Linear(at::kBFloat16, 2, kAvx2), "gemv");
  EXPECT_EQ(Linear(at::kBFloat16, 3, kAvx2), "widened rows");
  EXPECT_EQ(Linear(at::kHalf, 96, kAvx2), "widened rows");
  EXPECT_EQ(Linear(at::kBFloat16, 97, kAvx2), "widened panels");
  EXPECT_EQ(Linear(at::kHalf, 1, kAvx2), "widened panels");
  EXPECT_EQ(Linear(at::kFloat, 3, kAvx2), "aten");
}

TEST(KernelTableTest, InvariantNumericsTakeOneKernelForEveryNumberOfRows) {
  for (const CpuFeatures& cpu : {kAvx2, kAvx512}) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const int64_t rows : {0, 1, 16, 17, 500}) {
        EXPECT_EQ(Linear(type, rows, cpu, Numerics::kInvariant), "invariant");
      }
    }
  }
  EXPECT_THROW(Linear(at::kDouble, 1, kAvx512, Numerics::kInvariant), c10::Error);
}

TEST(KernelTableTest, AnotherDeviceHasAtensOwn) {
  for (const int64_t rows : {1, 500}) {
    EXPECT_EQ(Linear(at::kBFloat16, rows, kAvx2, Numerics::kFastest, c10::DeviceType::CUDA),
              "aten");
  }
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
