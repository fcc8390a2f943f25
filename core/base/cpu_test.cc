#include "core/base/cpu.h"

#include "core/base/status_matchers.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using testing::IsOkAndHolds;
using testing::StatusIs;

constexpr CpuFeatures kAll = {.avx2 = true,
                              .avx512 = true,
                              .avx512_vnni = true,
                              .avx512_bf16 = true,
                              .avx512_vbmi = true,
                              .amx_int8 = true,
                              .amx_bf16 = true};

TEST(CpuTest, ALimitTakesAwayWhatLiesAboveIt) {
  EXPECT_THAT(LimitCpuFeatures(kAll, "amx"), IsOkAndHolds(kAll));
  EXPECT_EQ(ToString(*LimitCpuFeatures(kAll, "bf16")),
            "avx2 avx512 avx512_vnni avx512_bf16 avx512_vbmi");
  EXPECT_EQ(ToString(*LimitCpuFeatures(kAll, "avx512")), "avx2 avx512 avx512_vnni");
  EXPECT_EQ(ToString(*LimitCpuFeatures(kAll, "avx2")), "avx2");
  EXPECT_EQ(ToString(*LimitCpuFeatures(kAll, "plain")), "plain");
}

TEST(CpuTest, ALimitNeverAddsAFeature) {
  EXPECT_THAT(LimitCpuFeatures({}, "amx"), IsOkAndHolds(CpuFeatures()));
}

TEST(CpuTest, AnUnknownLimitIsRefused) {
  EXPECT_THAT(LimitCpuFeatures(kAll, "sse9"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "\"sse9\" is none of plain, avx2, avx512, bf16, amx"));
}

TEST(CpuTest, HigherLevelsImplyLowerOnes) {
  const CpuFeatures features = DetectCpuFeatures();
  RecordProperty("features", ToString(features));
  if (features.avx512) {
    EXPECT_TRUE(features.avx2);
  }
  if (features.avx512_vnni || features.avx512_bf16) {
    EXPECT_TRUE(features.avx512);
  }
}

}  // namespace
}  // namespace keel
