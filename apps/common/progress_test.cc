#include "apps/common/progress.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

TEST(ProgressTest, ABarWhereTheTotalIsKnown) {
  EXPECT_EQ(FormatProgress("answering", 12, 24, "12/24 lines", 80),
            "answering [############            ]  50%  12/24 lines");
  EXPECT_EQ(FormatProgress("answering", 0, 24, "", 80),
            "answering [                        ]   0%");
  EXPECT_EQ(FormatProgress("answering", 7, 0, "7 lines", 80), "answering  7 lines");
}

TEST(ProgressTest, AHundredPercentIsTheEnd) {
  EXPECT_THAT(FormatProgress("a", 999'999, 1'000'000, "", 80), HasSubstr(" 99%"));
  EXPECT_THAT(FormatProgress("a", 5, 5, "", 80), HasSubstr("[########################] 100%"));
  EXPECT_THAT(FormatProgress("a", 9, 5, "", 80), HasSubstr("100%"));
  EXPECT_THAT(FormatProgress("a", -1, 5, "", 80), HasSubstr("  0%"));
}

TEST(ProgressTest, NarrowTerminalsShortenTheBarThenTheNote) {
  EXPECT_EQ(FormatProgress("answering", 12, 24, "12/24 lines", 40),
            "answering [#####     ]  50%  12/24 lines");
  EXPECT_EQ(FormatProgress("answering", 12, 24, "12/24 lines", 30), "answering  50%  12/24 lines");
  EXPECT_EQ(FormatProgress("answering", 12, 24, "12/24 lines", 20), "answering  50%  12/2");
  EXPECT_EQ(FormatProgress("gr\xC3\xBC\xC3\x9F", 1, 0, "", 5), "gr\xC3\xBC");
  EXPECT_EQ(FormatProgress("answering", 1, 2, "x", 0), "");
}

TEST(ProgressTest, DurationsArePlain) {
  EXPECT_EQ(FormatDuration(0), "0 s");
  EXPECT_EQ(FormatDuration(59.4), "59 s");
  EXPECT_EQ(FormatDuration(59.6), "1 m 00 s");
  EXPECT_EQ(FormatDuration(185), "3 m 05 s");
  EXPECT_EQ(FormatDuration(2 * 3600 + 4 * 60 + 30), "2 h 04 m");
  EXPECT_EQ(FormatDuration(-1), "0 s");
}

// Not on a terminal: the first line is due after a while, so that short work says nothing.
TEST(ProgressTest, ShortWorkSaysNothingInLogs) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress;
    EXPECT_FALSE(progress.IsDue());
    progress.Show("loading", 1, 2);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace keel::apps
