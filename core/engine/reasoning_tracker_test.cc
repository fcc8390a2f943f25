#include "core/engine/reasoning_tracker.h"

#include <optional>
#include <string>

#include "core/base/status_matchers.h"
#include "core/engine/testing.h"
#include "core/text/testing.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::kEnd;
using ::keel::testing::Letter;
using ::keel::testing::Letters;

constexpr int32_t kBegin = 401;
constexpr ReasoningFormat kFormat = {"<|im_start|>", "<|im_end|>"};

ReasoningTracker Tracker(absl::string_view prompt, std::optional<int64_t> budget = {}) {
  IncrementalDetokenizer detokenizer(testing::TestTokenizer("qwen"),
                                     {.skip_special_tokens = false});
  return ReasoningTracker(
      ReasoningSplitter(kFormat, prompt), detokenizer,
      {.budget = budget, .begin_token = kBegin, .end_tokens = {Letter('!'), kEnd}});
}

void Say(ReasoningTracker& tracker, absl::string_view text) {
  for (const int32_t token : Letters(text)) KEEL_ASSERT_OK(tracker.Take(token));
}

TEST(ReasoningTrackerTest, FollowsWhatTheModelSays) {
  ReasoningTracker tracker = Tracker("hi");
  EXPECT_FALSE(tracker.is_within());
  EXPECT_EQ(tracker.begin_token(), kBegin);
  KEEL_ASSERT_OK(tracker.Take(kBegin));
  EXPECT_TRUE(tracker.is_within());
  EXPECT_EQ(tracker.begin_token(), std::nullopt);
  Say(tracker, "abc");
  EXPECT_TRUE(tracker.is_within());
  EXPECT_EQ(tracker.forced_token(), std::nullopt);
  KEEL_ASSERT_OK(tracker.Take(kEnd));
  EXPECT_FALSE(tracker.is_within());
  EXPECT_TRUE(tracker.is_over());
}

TEST(ReasoningTrackerTest, WhatBeginsWithSomethingElseHasNone) {
  ReasoningTracker tracker = Tracker("hi");
  Say(tracker, "a");
  EXPECT_TRUE(tracker.is_over());
  EXPECT_EQ(tracker.begin_token(), std::nullopt);
}

TEST(ReasoningTrackerTest, ThePromptMayBeginAndEndIt) {
  EXPECT_TRUE(Tracker("hi<|im_start|>\n").is_within());
  EXPECT_TRUE(Tracker("hi<|im_start|><|im_end|>\n").is_over());
}

TEST(ReasoningTrackerTest, ABudgetForcesItsEnd) {
  ReasoningTracker tracker = Tracker("<|im_start|>", 2);
  Say(tracker, "a");
  EXPECT_EQ(tracker.forced_token(), std::nullopt);
  Say(tracker, "b");
  EXPECT_EQ(tracker.forced_token(), Letter('!'));
  ReasoningTracker fork = tracker;
  Say(tracker, "!");
  EXPECT_EQ(tracker.forced_token(), kEnd);
  EXPECT_EQ(fork.forced_token(), Letter('!'));
  KEEL_ASSERT_OK(tracker.Take(kEnd));
  EXPECT_TRUE(tracker.is_over());
  EXPECT_EQ(tracker.forced_token(), std::nullopt);
  EXPECT_EQ(Tracker("<|im_start|>", 0).forced_token(), Letter('!'));
}

}  // namespace
}  // namespace keel
