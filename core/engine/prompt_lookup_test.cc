#include "core/engine/prompt_lookup.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Guess(const std::vector<int32_t>& tokens, int32_t max = 3, int32_t min = 2,
                           int32_t n = 3) {
  return PromptLookup(tokens, {.num_tokens = n, .max_ngram = max, .min_ngram = min});
}

TEST(PromptLookupTest, GivesWhatFollowedTheSameTokens) {
  EXPECT_THAT(Guess({1, 2, 3, 4, 5, 6, 1, 2}), ElementsAre(3, 4, 5));
}

TEST(PromptLookupTest, TheLongestMatchWinsAndThenTheLatest) {
  EXPECT_THAT(Guess({7, 1, 2, 30, 8, 1, 2, 40, 7, 1, 2}), ElementsAre(30, 8, 1));
  EXPECT_THAT(Guess({1, 2, 30, 9, 1, 2, 40, 9, 5, 1, 2}), ElementsAre(40, 9, 5));
}

TEST(PromptLookupTest, AShorterMatchThanAskedIsNone) {
  EXPECT_THAT(Guess({1, 2, 3, 9, 2}), IsEmpty());
  EXPECT_THAT(Guess({1, 2, 3, 9, 2}, 3, 1), ElementsAre(3, 9, 2));
  EXPECT_THAT(Guess({5}), IsEmpty());
  EXPECT_THAT(Guess({}), IsEmpty());
}

TEST(PromptLookupTest, ARunOfOneTokenGoesOn) { EXPECT_THAT(Guess({4, 4, 4, 4}), ElementsAre(4)); }

}  // namespace
}  // namespace keel
