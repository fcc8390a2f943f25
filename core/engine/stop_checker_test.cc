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

TEST(StopCheckerTest, LetsThroughWhatEndsBeforeItMayStop) {
  StopChecker checker({"ab", "xyz"}, false);
  EXPECT_EQ(checker.Add("ab", /*may_stop=*/false), "ab");
  EXPECT_EQ(checker.Add("cx", /*may_stop=*/false), "c");
  EXPECT_EQ(checker.Add("y", /*may_stop=*/false), "");
  EXPECT_EQ(checker.Add("z"), "");  // ends where it may, though it begins before
  EXPECT_EQ(checker.matched(), "xyz");
}

TEST(StopCheckerTest, WhatWasLetThroughIsNotFoundLater) {
  StopChecker checker({"aba"}, false);
  EXPECT_EQ(checker.Add("aba", /*may_stop=*/false), "ab");  // "a" may begin another
  EXPECT_EQ(checker.Add("c"), "ac");
  EXPECT_FALSE(checker.matched().has_value());
  EXPECT_EQ(checker.Add("aba"), "");
  EXPECT_TRUE(checker.matched().has_value());
}

}  // namespace
}  // namespace keel
