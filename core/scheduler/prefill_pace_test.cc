#include "core/scheduler/prefill_pace.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kMs = 1000000;

// After a step of 16 decodes in 50 ms, and as many with 32 tokens of a prompt in 114 as make it sure: 2 ms a token.
PrefillPace Taught(double max_slowdown) {
  PrefillPace pace(max_slowdown);
  pace.StepTook(16, 0, 50 * kMs);
  for (int i = 0; i < 30; ++i) pace.StepTook(16, 32, 114 * kMs);
  return pace;
}

TEST(PrefillPaceTest, IsCarefulUntilItIsSure) {
  PrefillPace pace(2);
  pace.StepTook(16, 0, 50 * kMs);
  pace.StepTook(16, 32, 114 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 14, 1);
  for (int i = 0; i < 30; ++i) pace.StepTook(16, 14, 78 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 25, 1);
}

// Tokens cost 1 ms and 3 ms in turn, 2 on the whole: steps of the dear ones come near the bound, not half of it over.
TEST(PrefillPaceTest, StaysWithinTheBoundWhereStepsDiffer) {
  PrefillPace pace(2);
  pace.StepTook(16, 0, 50 * kMs);
  int over = 0;
  for (int i = 0; i < 60; ++i) {
    const int32_t tokens = std::max(pace.Tokens(16, 0.1), 1);
    const int64_t took = (50 + (i % 2 == 0 ? 1 : 3) * tokens) * kMs;
    if (i > 10 && took > 100 * kMs) ++over;
    pace.StepTook(16, tokens, took);
  }
  EXPECT_EQ(over, 0);
}

TEST(PrefillPaceTest, GivesPromptsTheTimeThatTheSlowdownLeaves) {
  EXPECT_NEAR(Taught(2).Tokens(16, 0.1), 25, 1);
  EXPECT_NEAR(Taught(3).Tokens(16, 0.1), 50, 1);
  EXPECT_EQ(Taught(0).Tokens(16, 0.1), PrefillPace::kNoBound);
}

TEST(PrefillPaceTest, ManyPromptsGetMoreThanOneShare) {
  EXPECT_NEAR(Taught(2).Tokens(16, 1), 25, 1);
  EXPECT_NEAR(Taught(2).Tokens(16, 2), 50, 1);
  EXPECT_NEAR(Taught(2).Tokens(16, 100), 100, 1);
}

TEST(PrefillPaceTest, APromptGoesOnHoweverDearItIs) {
  EXPECT_EQ(Taught(1.001).Tokens(16, 0.1), PrefillPace::kLeast);
}

TEST(PrefillPaceTest, LooksAtTheDecodesAloneFirst) {
  PrefillPace pace(2);
  pace.StepTook(0, 100, 200 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1), 0);
  pace.StepTook(16, 0, 50 * kMs);
  // What tokens cost is known from the prompts before, though not for sure.
  EXPECT_NEAR(pace.Tokens(16, 0.1), 12, 1);
}

TEST(PrefillPaceTest, LooksAgainWhereTheDecodesAreOthers) {
  PrefillPace pace = Taught(2);
  EXPECT_GT(pace.Tokens(24, 0.1), 0);
  EXPECT_EQ(pace.Tokens(25, 0.1), 0);
  EXPECT_EQ(pace.Tokens(7, 0.1), 0);
  // At least as much of the time as of the tokens: half of 50 ms.
  EXPECT_NEAR(pace.Tokens(8, 0.1), 12, 1);
  EXPECT_NEAR(pace.Tokens(24, 0.1), 25, 1);
}

TEST(PrefillPaceTest, NeverLooksTwiceInARow) {
  PrefillPace pace = Taught(2);
  EXPECT_EQ(pace.Tokens(60, 0.1), 0);
  pace.StepTook(60, 0, 150 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 20, 1);
}

TEST(PrefillPaceTest, LooksAgainNowAndThen) {
  PrefillPace pace = Taught(2);
  int steps = 1;
  while (pace.Tokens(16, 0.1) > 0) {
    pace.StepTook(16, 25, 100 * kMs);
    ASSERT_LT(++steps, 1000);
  }
  EXPECT_GT(steps, 30);
  pace.StepTook(16, 0, 50 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 25, 1);
}

// As where a text grows longer.
TEST(PrefillPaceTest, FollowsWhatTokensCost) {
  PrefillPace pace = Taught(2);
  for (int i = 0; i < 20; ++i) pace.StepTook(16, 10, (50 + 10 * 4) * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 12, 1);
  pace.StepTook(16, 0, 50 * kMs);
  for (int i = 0; i < 40; ++i) pace.StepTook(16, 10, (50 + 10) * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 50, 1);
}

TEST(PrefillPaceTest, OneStepThatWasDisturbedIsSoonForgotten) {
  PrefillPace pace = Taught(2);
  pace.StepTook(16, 25, 5000 * kMs);
  EXPECT_GE(pace.Tokens(16, 0.1), PrefillPace::kLeast);
  for (int i = 0; i < 24; ++i) pace.StepTook(16, 10, 70 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1), 25, 3);
  // Nor does one that was quicker than its decodes alone open the gates.
  pace.StepTook(16, 25, 40 * kMs);
  EXPECT_LT(pace.Tokens(16, 0.1), 32);
}

}  // namespace
}  // namespace keel
