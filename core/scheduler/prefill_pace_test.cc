#include "core/scheduler/prefill_pace.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kMs = 1000000;

// After a step of 16 decodes in 50 ms, and as many with 32 tokens of a prompt in 114 as make it sure: 2 ms a token.
PrefillPace Taught(double max_slowdown) {
  PrefillPace pace(max_slowdown);
  pace.StepTook(16, 0, 0, 50 * kMs);
  for (int i = 0; i < 30; ++i) pace.StepTook(16, 32, 0, 114 * kMs);
  return pace;
}

TEST(PrefillPaceTest, IsCarefulUntilItIsSure) {
  PrefillPace pace(2);
  pace.StepTook(16, 0, 0, 50 * kMs);
  pace.StepTook(16, 32, 0, 114 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 14, 1);
  for (int i = 0; i < 30; ++i) pace.StepTook(16, 14, 0, 78 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 25, 1);
}

// Tokens cost 1 ms and 3 ms in turn, 2 on the whole: steps of the dear ones come near the bound, not half of it over.
TEST(PrefillPaceTest, StaysWithinTheBoundWhereStepsDiffer) {
  PrefillPace pace(2);
  pace.StepTook(16, 0, 0, 50 * kMs);
  int over = 0;
  for (int i = 0; i < 60; ++i) {
    const int32_t tokens = std::max(pace.Tokens(16, 0.1, 0), 1);
    const int64_t took = (50 + (i % 2 == 0 ? 1 : 3) * tokens) * kMs;
    if (i > 10 && took > 100 * kMs) ++over;
    pace.StepTook(16, tokens, 0, took);
  }
  EXPECT_EQ(over, 0);
}

TEST(PrefillPaceTest, GivesPromptsTheTimeThatTheSlowdownLeaves) {
  EXPECT_NEAR(Taught(2).Tokens(16, 0.1, 0), 25, 1);
  EXPECT_NEAR(Taught(3).Tokens(16, 0.1, 0), 50, 1);
  EXPECT_EQ(Taught(0).Tokens(16, 0.1, 0), PrefillPace::kNoBound);
}

TEST(PrefillPaceTest, ManyPromptsGetMoreThanOneShare) {
  EXPECT_NEAR(Taught(2).Tokens(16, 1, 0), 25, 1);
  EXPECT_NEAR(Taught(2).Tokens(16, 2, 0), 50, 1);
  EXPECT_NEAR(Taught(2).Tokens(16, 100, 0), 100, 1);
}

TEST(PrefillPaceTest, APromptGoesOnHoweverDearItIs) {
  EXPECT_EQ(Taught(1.001).Tokens(16, 0.1, 0), PrefillPace::kLeast);
}

TEST(PrefillPaceTest, LooksAtTheDecodesAloneFirst) {
  PrefillPace pace(2);
  pace.StepTook(0, 100, 0, 200 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), 0);
  pace.StepTook(16, 0, 0, 50 * kMs);
  // What tokens cost is known from the prompts before, though not for sure.
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 12, 1);
}

// The few tokens of a first request seem dear: a step reads all weights for them.
TEST(PrefillPaceTest, BeginsWithWhatTheCheapestPromptsCost) {
  PrefillPace pace(2);
  pace.StepTook(0, 16, 0, 80 * kMs);
  pace.StepTook(0, 2000, 1000, 2000 * kMs);
  pace.StepTook(0, 16, 0, 80 * kMs);
  pace.StepTook(16, 0, 0, 50 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 25, 1);
}

TEST(PrefillPaceTest, LooksAgainWhereTheDecodesAreOthers) {
  PrefillPace pace = Taught(2);
  EXPECT_GT(pace.Tokens(24, 0.1, 0), 0);
  EXPECT_EQ(pace.Tokens(25, 0.1, 0), 0);
  EXPECT_EQ(pace.Tokens(7, 0.1, 0), 0);
  // At least as much of the time as of the tokens: half of 50 ms.
  EXPECT_NEAR(pace.Tokens(8, 0.1, 0), 12, 1);
  EXPECT_NEAR(pace.Tokens(24, 0.1, 0), 25, 1);
}

TEST(PrefillPaceTest, NeverLooksTwiceInARow) {
  PrefillPace pace = Taught(2);
  EXPECT_EQ(pace.Tokens(60, 0.1, 0), 0);
  pace.StepTook(60, 0, 0, 150 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 20, 1);
}

TEST(PrefillPaceTest, LooksAgainNowAndThen) {
  PrefillPace pace = Taught(2);
  int steps = 1;
  while (pace.Tokens(16, 0.1, 0) > 0) {
    pace.StepTook(16, 25, 0, 100 * kMs);
    ASSERT_LT(++steps, 1000);
  }
  EXPECT_GT(steps, 30);
  pace.StepTook(16, 0, 0, 50 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 25, 1);
}

// As where a text grows longer.
TEST(PrefillPaceTest, FollowsWhatTokensCost) {
  PrefillPace pace = Taught(2);
  for (int i = 0; i < 20; ++i) pace.StepTook(16, 10, 0, (50 + 10 * 4) * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 12, 1);
  pace.StepTook(16, 0, 0, 50 * kMs);
  for (int i = 0; i < 40; ++i) {
    const int32_t tokens = pace.Tokens(16, 0.1, 0);
    pace.StepTook(16, tokens, 0, (50 + tokens) * kMs);
  }
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 50, 1);
}

TEST(PrefillPaceTest, OneStepThatWasDisturbedIsSoonForgotten) {
  PrefillPace pace = Taught(2);
  pace.StepTook(16, 25, 0, 5000 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), 0);  // was it the decodes?
  pace.StepTook(16, 0, 0, 50 * kMs);
  EXPECT_GE(pace.Tokens(16, 0.1, 0), PrefillPace::kLeast);
  for (int i = 0; i < 24; ++i) pace.StepTook(16, 10, 0, 70 * kMs);
  EXPECT_NEAR(pace.Tokens(16, 0.1, 0), 25, 3);
  // Nor does one that was quicker than its decodes alone open the gates.
  pace.StepTook(16, 25, 0, 40 * kMs);
  EXPECT_LT(pace.Tokens(16, 0.1, 0), 32);
}

// As where another process takes half of the machine: decodes alone are twice as long, and it is not
// prompts' doing.
TEST(PrefillPaceTest, LeavesPromptsLittleWhileTheMachineIsSlow) {
  PrefillPace pace = Taught(2);
  pace.StepTook(16, 25, 0, 190 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), 0);
  pace.StepTook(16, 0, 0, 95 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), PrefillPace::kLeast);
  for (int i = 0; i < 10; ++i) pace.StepTook(16, 8, 0, 125 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), PrefillPace::kLeast);
  // It is quick again: as many tokens as before, at once.
  pace.StepTook(16, 8, 0, 66 * kMs);
  EXPECT_EQ(pace.Tokens(16, 0.1, 0), 0);
  pace.StepTook(16, 0, 0, 50 * kMs);
  EXPECT_GE(pace.Tokens(16, 0.1, 0), 16);
}

TEST(PrefillPaceTest, MoreDecodesAreNoSlowMachine) {
  PrefillPace pace = Taught(2);
  pace.StepTook(22, 0, 0, 68 * kMs);
  EXPECT_GE(pace.Tokens(22, 0.1, 0), 25);
}

// And where it stays slow that is what decodes take.
TEST(PrefillPaceTest, TakesASlowMachineForWhatItIsInTheEnd) {
  PrefillPace pace = Taught(2);
  int steps = 0;
  while (pace.Tokens(16, 0.1, 0) < 20 && steps < 1000) {
    const int32_t tokens = pace.Tokens(16, 0.1, 0);
    pace.StepTook(16, tokens, 0, 2 * (50 + 2 * tokens) * kMs);
    ++steps;
  }
  EXPECT_LT(steps, 200);
}

// Decodes that were looked at while the machine was slow seem to leave prompts all the time there is.
TEST(PrefillPaceTest, DecodesThatWereTakenForDearDoNotOpenTheGates) {
  PrefillPace pace(2);
  for (int i = 0; i < 30; ++i) pace.StepTook(16, 0, 0, 100 * kMs);
  int over = 0;
  for (int i = 0; i < 60; ++i) {
    const int32_t tokens = pace.Tokens(16, 0.1, 0);
    const int64_t took = 50 + 2 * tokens;
    if (took > 200) ++over;
    pace.StepTook(16, tokens, 0, took * kMs);
  }
  EXPECT_LE(over, 1);
}

// What a machine was measured to take: steps of 16 decodes 24 ms, with prompts 4.7 more, and each of their tokens 0.1 ms
// and 0.175 for each 1024 before it. Times differ by a tenth, and one step in 20 is disturbed by 50 ms.
TEST(PrefillPaceTest, KnowsThatTextBeforeATokenMakesItDear) {
  PrefillPace pace(2);
  uint32_t random = 1;
  const auto took = [&](int32_t tokens, double context) {
    random = random * 1664525 + 1013904223;
    const double part = 0.95 + 0.1 * (random >> 8) / (1 << 24);
    const double begun = tokens > 0 ? 4.7 : 0;
    return (24 + begun + tokens * (0.1 + 0.175 * context / 1024)) * part;
  };
  double context = 0, longest = 0, sum = 0;
  int steps = 0;
  while (context < 4000) {
    const int32_t tokens = pace.Tokens(16, 0.1, context);
    const double ms = took(tokens, context + tokens / 2.0);
    const bool disturbed = ++steps % 20 == 0;
    pace.StepTook(16, tokens, context + tokens / 2.0,
                  static_cast<int64_t>((ms + (disturbed ? 50 : 0)) * 1e6));
    context += tokens;
    if (tokens > 0 && steps > 10) longest = std::max(longest, ms);
    sum += ms;
  }
  EXPECT_LE(longest, 2 * 24 * 1.1);
  // And it takes most of what it may.
  EXPECT_GE(sum / steps, 38);
}

}  // namespace
}  // namespace keel
