#include "core/engine/beam_search.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int32_t kEnd = 9;
using Text = std::vector<int32_t>;

std::vector<std::pair<size_t, int32_t>> Pairs(const std::vector<BeamSearch::Next>& next) {
  std::vector<std::pair<size_t, int32_t>> out;
  for (const BeamSearch::Next& n : next) out.emplace_back(n.parent, n.token);
  return out;
}

// One round over texts given as vectors.
std::vector<std::pair<size_t, int32_t>> Round(BeamSearch& search, const std::vector<Text>& texts,
                                              const std::vector<BeamSearch::Candidates>& c) {
  std::vector<absl::Span<const int32_t>> spans(texts.begin(), texts.end());
  return Pairs(search.Advance(spans, c));
}

TEST(BeamSearchTest, KeepsTheBestContinuationsOfAllBeams) {
  BeamSearch search({.width = 2}, {kEnd}, 10);
  EXPECT_EQ(search.num_candidates(), 4);
  EXPECT_THAT(Round(search, {{}}, {{{1, -1.f}, {2, -1.5f}, {3, -4.f}, {4, -5.f}}}),
              ElementsAre(std::pair(0u, 1), std::pair(0u, 2)));
  // Both come from the second: -1.5 - 0.1 and -1.5 - 0.2 beat -1 - 3.
  EXPECT_THAT(Round(search, {{1}, {2}},
                    {{{5, -3.f}, {6, -4.f}, {7, -5.f}, {8, -6.f}},
                     {{5, -.1f}, {6, -.2f}, {7, -5.f}, {8, -6.f}}}),
              ElementsAre(std::pair(1u, 5), std::pair(1u, 6)));
}

TEST(BeamSearchTest, ATextThatEndsLeavesItsPlaceToAnother) {
  BeamSearch search({.width = 2}, {kEnd}, 10);
  EXPECT_THAT(Round(search, {{}}, {{{kEnd, -1.f}, {2, -1.5f}, {3, -2.f}, {4, -5.f}}}),
              ElementsAre(std::pair(0u, 2), std::pair(0u, 3)));
  ASSERT_EQ(search.finished().size(), 1u);
  EXPECT_THAT(search.finished()[0].tokens, ElementsAre(kEnd));
  EXPECT_TRUE(search.finished()[0].by_end_token);
}

TEST(BeamSearchTest, OnlyTheBestMayEnd) {
  BeamSearch search({.width = 2}, {kEnd}, 10);
  Round(search, {{}}, {{{1, -1.f}, {2, -1.5f}, {kEnd, -2.f}, {4, -5.f}}});
  EXPECT_THAT(search.finished(), IsEmpty());
}

TEST(BeamSearchTest, EndsWhenNothingThatRunsCanBeatWhatIsFinished) {
  BeamSearch search({.width = 1}, {kEnd}, 10);
  EXPECT_THAT(Round(search, {{}}, {{{kEnd, -1.f}, {2, -1.5f}}}), IsEmpty());
  // With a preference for long texts the running one may still win.
  BeamSearch patient({.width = 1, .early_stopping = EarlyStopping::kNever}, {kEnd}, 10);
  EXPECT_THAT(Round(patient, {{}}, {{{kEnd, -1.f}, {2, -1.5f}}}), ElementsAre(std::pair(0u, 2)));
}

TEST(BeamSearchTest, MaxTokensEndsThemAllAndTheLengthPenaltyDecides) {
  BeamSearch search({.width = 2, .length_penalty = 2}, {kEnd}, 2);
  Round(search, {{}}, {{{kEnd, -1.f}, {2, -1.2f}, {3, -1.3f}, {4, -5.f}}});
  EXPECT_THAT(Round(search, {{2}, {3}},
                    {{{5, -1.f}, {6, -4.f}, {7, -5.f}, {8, -6.f}},
                     {{5, -1.1f}, {6, -5.f}, {7, -5.f}, {8, -6.f}}}),
              IsEmpty());
  ASSERT_EQ(search.finished().size(), 2u);
  EXPECT_THAT(search.finished()[0].tokens, ElementsAre(2, 5));  // -2.2 / 4
  EXPECT_FLOAT_EQ(search.finished()[0].score, -.55f);
  EXPECT_FALSE(search.finished()[0].by_end_token);
  EXPECT_THAT(search.finished()[1].tokens, ElementsAre(3, 5));  // -2.4 / 4 beats -1 / 1
}

TEST(BeamSearchTest, ABeamWithoutCandidatesIsGivenUpAndTheOthersGoOn) {
  BeamSearch search({.width = 2}, {kEnd}, 10);
  Round(search, {{}}, {{{1, -1.f}, {2, -1.5f}}});
  EXPECT_THAT(Round(search, {{1}, {2}}, {{}, {{5, -.1f}, {6, -.2f}}}),
              ElementsAre(std::pair(1u, 5), std::pair(1u, 6)));
  EXPECT_THAT(Round(search, {{2, 5}, {2, 6}}, {{}, {}}), IsEmpty());
  EXPECT_THAT(search.finished(), IsEmpty());
}

TEST(BeamSearchTest, FewerCandidatesThanBeamsMakeFewerBeams) {
  BeamSearch search({.width = 3}, {kEnd}, 10);
  EXPECT_THAT(Round(search, {{}}, {{{1, -1.f}}}), ElementsAre(std::pair(0u, 1)));
  EXPECT_THAT(Round(search, {{1}}, {{{kEnd, -1.f}}}), IsEmpty());
  ASSERT_EQ(search.finished().size(), 1u);
  EXPECT_THAT(search.finished()[0].tokens, ElementsAre(1, kEnd));
}

}  // namespace
}  // namespace keel
