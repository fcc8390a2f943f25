#include "apps/validate/table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using conformance::Outcome;
using conformance::Result;
using ::testing::HasSubstr;
using ::testing::Not;

Result Made(Outcome outcome, std::string message) {
  return {FindRequirement(83), {outcome, std::move(message)}, absl::ZeroDuration(), ""};
}

TEST(TableTest, AFailureSaysWhatWasFoundAndWhatComesOfIt) {
  EXPECT_EQ(ResultLine(Made(Outcome::kFail, "cumsum goes along tokens"), false),
            "fail   KEEL-PLG-083  mixes no rows of a batch\n"
            "                     cumsum goes along tokens\n"
            "                     consequence: one request's text reaches another's\n");
}

TEST(TableTest, APassIsOneLine) {
  EXPECT_EQ(ResultLine(Made(Outcome::kPass, "120 us"), false),
            "pass   KEEL-PLG-083  mixes no rows of a batch\n");
}

TEST(TableTest, AWaiverIsShownAndDoesNotCount) {
  Result result = Made(Outcome::kFail, "x");
  result.waiver = "known";
  EXPECT_THAT(ResultLine(result, false), HasSubstr("waived: known\n"));
  EXPECT_THAT(SummaryLine("a/libx.so", {result}), HasSubstr("1 fail: libx.so keeps"));
}

TEST(TableTest, ColourIsOnlyForTerminals) {
  EXPECT_THAT(ResultLine(Made(Outcome::kFail, ""), true), HasSubstr("\x1b[31m"));
  EXPECT_THAT(ResultLine(Made(Outcome::kFail, ""), false), Not(HasSubstr("\x1b")));
}

TEST(TableTest, TheSummaryCountsOutcomes) {
  EXPECT_EQ(SummaryLine("libx.so", {Made(Outcome::kPass, ""), Made(Outcome::kCrash, ""),
                                    Made(Outcome::kPass, "")}),
            "2 pass, 1 crash: libx.so breaks its contract\n");
}

}  // namespace
}  // namespace keel::apps
