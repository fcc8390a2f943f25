#include "core/engine/stop_checker.h"

#include "gtest/gtest.h"

namespace keel {
namespace {

TEST(StopCheckerTest, PassesTextOnWhenThereIsNothingToStopAt) {
  StopChecker checker({}, false);
  EXPECT_EQ(checker.Add("abc"), "abc");
  EXPECT_EQ(checker.Flush(), "");
}

TEST(StopCheckerTest, NeverLeaksAStopStringThatComesInPieces) {
  StopChecker checker({"</end>"}, false);
  EXPECT_EQ(checker.Add("a<"), "a");
  EXPECT_EQ(checker.Add("/en"), "");
  EXPECT_EQ(checker.Add("d>tail"), "");
  EXPECT_EQ(checker.matched(), "</end>");
  EXPECT_EQ(checker.Add("more"), "");
}

TEST(StopCheckerTest, GivesBackWhatOnlyLookedLikeAStopString) {
  StopChecker checker({"</end>"}, false);
  EXPECT_EQ(checker.Add("x</e"), "x");
  EXPECT_EQ(checker.Add("lse>"), "</else>");
  EXPECT_FALSE(checker.matched().has_value());
}

TEST(StopCheckerTest, HoldsTheRightPartOfARepeatingBeginning) {
  StopChecker checker({"aab"}, false);
  EXPECT_EQ(checker.Add("aa"), "");
  EXPECT_EQ(checker.Add("a"), "a");
  EXPECT_EQ(checker.Add("b"), "");
  EXPECT_EQ(checker.matched(), "aab");
}

TEST(StopCheckerTest, TakesTheEarliestOfSeveral) {
  StopChecker checker({"zz", "y"}, false);
  EXPECT_EQ(checker.Add("abyzz"), "ab");
  EXPECT_EQ(checker.matched(), "y");
}

TEST(StopCheckerTest, KeepsTheStopStringWhenAsked) {
  StopChecker checker({"STOP"}, true);
  EXPECT_EQ(checker.Add("go STOP now"), "go STOP");
}

TEST(StopCheckerTest, FlushesAnUnfinishedBeginning) {
  StopChecker checker({"STOP"}, false);
  EXPECT_EQ(checker.Add("go ST"), "go ");
  EXPECT_EQ(checker.Flush(), "ST");
}

}  // namespace
}  // namespace keel
