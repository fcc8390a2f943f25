#include "core/tensor/dtype.h"

#include <limits>

#include "gtest/gtest.h"

namespace keel {
namespace {

TEST(DTypeTest, NumbersAreTheImageOfDLDataType) {
  EXPECT_EQ(static_cast<uint32_t>(DType::kF32), 0x00012002u);
  EXPECT_EQ(static_cast<uint32_t>(DType::kBF16), 0x00011004u);
  EXPECT_EQ(static_cast<uint32_t>(DType::kI64), 0x00014000u);
  EXPECT_EQ(DTypeFromImage(0x00012002u), DType::kF32);
  EXPECT_EQ(DTypeFromImage(0x00022002u), std::nullopt);  // two lanes
  EXPECT_EQ(DTypeFromImage(0), std::nullopt);
}

TEST(DTypeTest, NamesGoBothWays) {
  for (const char* name :
       {"BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
        "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
        "U32",     "F32",         "C64",         "F64",     "I64", "U64"}) {
    const std::optional<DType> dtype = DTypeFromSafetensorsName(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(SafetensorsName(*dtype), name);
    EXPECT_EQ(DTypeFromName(TorchName(*dtype)), *dtype) << name;
    EXPECT_EQ(DTypeFromImage(static_cast<uint32_t>(*dtype)), *dtype) << name;
  }
  EXPECT_EQ(DTypeFromName("torch.bfloat16"), DType::kBF16);
  EXPECT_EQ(DTypeFromName("bf16"), DType::kBF16);
  EXPECT_EQ(DTypeFromName("half"), DType::kF16);
  EXPECT_EQ(DTypeFromName("auto"), std::nullopt);
  EXPECT_EQ(DTypeFromSafetensorsName("bf16"), std::nullopt);
}

TEST(DTypeTest, CountsBytesOfElements) {
  EXPECT_EQ(BytesOf(DType::kBF16), 2);
  EXPECT_EQ(BytesOf(DType::kF4E2M1), 0);
  EXPECT_EQ(BytesOfElements(DType::kF32, 3), 12);
  EXPECT_EQ(BytesOfElements(DType::kF4E2M1, 4), 2);
  EXPECT_EQ(BytesOfElements(DType::kF4E2M1, 3), std::nullopt);
  EXPECT_EQ(BytesOfElements(DType::kF6E2M3, 4), 3);
  EXPECT_EQ(BytesOfElements(DType::kF32, -1), std::nullopt);
  EXPECT_EQ(BytesOfElements(DType::kF32, std::numeric_limits<int64_t>::max() / 2), std::nullopt);
}

TEST(DTypeTest, KnowsFloatingPoint) {
  EXPECT_TRUE(IsFloatingPoint(DType::kBF16));
  EXPECT_TRUE(IsFloatingPoint(DType::kF8E4M3FN));
  EXPECT_FALSE(IsFloatingPoint(DType::kBool));
  EXPECT_FALSE(IsFloatingPoint(DType::kI32));
  EXPECT_FALSE(IsFloatingPoint(DType::kC64));
}

}  // namespace
}  // namespace keel
