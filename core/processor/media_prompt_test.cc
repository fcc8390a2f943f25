// The contract of processors, item by item: what a right one gives, and each way to break it.
#include "core/processor/media_prompt.h"

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kImage = 50, kRowEnd = 51, kFeature = 52, kVideo = 60;
using Ids = std::vector<int32_t>;

// Images of features with row ends, whose placeholder is another token; videos of their placeholder alone.
Placeholders Tokens() {
  Placeholders out;
  out[KEEL_MODALITY_IMAGE] = {"<image>", kImage, kFeature, {kFeature, kRowEnd}};
  out[KEEL_MODALITY_VIDEO] = {"<video>", kVideo, kVideo, {kVideo}};
  return out;
}

keel_media_count Item(int64_t tokens, int64_t features, uint32_t modality = KEEL_MODALITY_IMAGE) {
  keel_media_count count = {};
  count.struct_size = sizeof(count);
  count.modality = modality;
  count.tokens = tokens;
  count.features = features;
  return count;
}

absl::StatusOr<std::vector<MediaTokensSpan>> Find(const Ids& prompt,
                                                  const std::vector<keel_media_count>& items,
                                                  const Ids& ids, const Ids& types) {
  return FindMediaSpans(Tokens(), prompt, items, {ids, types}, "TestProcessor");
}

auto Internal(const std::string& what) {
  return StatusIs(absl::StatusCode::kInternal, HasSubstr("processor TestProcessor: " + what));
}

TEST(MediaPromptTest, FindsFeaturesBetweenRowEnds) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto spans,
                            Find({1, kImage, 2, kImage, kVideo},
                                 {Item(2, 2, KEEL_MODALITY_VIDEO), Item(6, 4), Item(1, 1)},
                                 {1, kFeature, kFeature, kRowEnd, kFeature, kFeature, kRowEnd, 2,
                                  kFeature, kVideo, kVideo},
                                 {0, 1, 1, 1, 1, 1, 1, 0, 1, 2, 2}));
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].begin, 9);
  EXPECT_EQ(spans[0].end, 11);
  EXPECT_EQ(spans[1].begin, 1);
  EXPECT_EQ(spans[1].end, 7);
  ASSERT_EQ(spans[1].runs.size(), 2u);
  EXPECT_EQ(spans[1].runs[1].begin, 4);
  EXPECT_EQ(spans[1].runs[1].num, 2);
  EXPECT_EQ(spans[1].runs[1].first, 2);
  EXPECT_EQ(spans[2].begin, 8);
}

// Replacements may put text around an item, which is counted to none.
TEST(MediaPromptTest, TakesTextThatComesWithAnItem) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto spans, Find({1, kImage, 2}, {Item(1, 1)},
                                                   {1, 7, kFeature, 8, 2}, {0, 0, 1, 0, 0}));
  EXPECT_EQ(spans[0].begin, 2);
  EXPECT_EQ(spans[0].end, 3);
  KEEL_EXPECT_OK(Find({1, kImage}, {Item(1, 1)}, {1, 7, kFeature, 8}, {0, 0, 1, 0}).status());
}

// A video of three pairs of frames, with the time before each.
TEST(MediaPromptTest, TextMayCutAnItem) {
  keel_media_count item = Item(6, 6, KEEL_MODALITY_VIDEO);
  item.runs = 3;
  const Ids ids = {1, 7, kVideo, kVideo, 8, 9, kVideo, kVideo, 8, kVideo, kVideo, 8, 2, 3},
            types = {0, 0, 2, 2, 0, 0, 2, 2, 0, 2, 2, 0, 0, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(const auto spans, Find({1, kVideo, 2, 3}, {item}, ids, types));
  EXPECT_EQ(spans[0].begin, 2);
  EXPECT_EQ(spans[0].end, 11);
  EXPECT_EQ(spans[0].features, 6);
  ASSERT_EQ(spans[0].runs.size(), 3u);
  EXPECT_EQ(spans[0].runs[2].begin, 9);
  EXPECT_EQ(spans[0].runs[2].num, 2);
  EXPECT_EQ(spans[0].runs[2].first, 4);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto groups, FindGroups(spans, {ids, types}, "TestProcessor"));
  EXPECT_THAT(groups, ElementsAre(TokenRange{2, 4}, TokenRange{6, 8}, TokenRange{9, 11}));
  // Another number of runs, or of tokens.
  item.runs = 2;
  EXPECT_THAT(Find({1, kVideo, 2, 3}, {item}, ids, types).status(),
              Internal("video 0 of the request: 4 tokens in 2 runs of mm_token_type_ids, count "
                       "says 6 in 2"));
  item.runs = 4;
  EXPECT_THAT(Find({1, kVideo, 2, 3}, {item}, ids, types).status(),
              Internal("video 0 of the request: 6 tokens in 3 runs of mm_token_type_ids, count "
                       "says 6 in 4"));
  item.tokens = item.features = 7;
  EXPECT_THAT(Find({1, kVideo, 2, 3}, {item}, ids, types).status(),
              Internal("video 0 of the request: 6 tokens in 3 runs of mm_token_type_ids, count "
                       "says 7 in 4"));
}

TEST(MediaPromptTest, RefusesPromptsWithOtherNumbersOfPlaceholders) {
  EXPECT_THAT(Find({1, kImage, kImage}, {Item(1, 1)}, {}, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has 2 placeholders <image> and the request 1 items of image")));
  EXPECT_THAT(Find({1}, {Item(1, 1, KEEL_MODALITY_AUDIO)}, {}, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 items of audio, which TestProcessor does not take")));
}

TEST(MediaPromptTest, RefusesAProcessorThatBreaksARule) {
  const Ids prompt = {1, kImage, 2};
  // Fewer tokens than counted, more, and with a break.
  EXPECT_THAT(Find(prompt, {Item(3, 3)}, {1, kFeature, kFeature, 2}, {0, 1, 1, 0}).status(),
              Internal("image 0 of the request: 2 tokens without a break"));
  EXPECT_THAT(Find(prompt, {Item(1, 1)}, {1, kFeature, kFeature, 2}, {0, 1, 1, 0}).status(),
              Internal("the expanded prompt goes on behind its end, at token 2"));
  EXPECT_THAT(Find(prompt, {Item(2, 2)}, {1, kFeature, 9, kFeature, 2}, {0, 1, 0, 1, 0}).status(),
              Internal("image 0 of the request: 1 tokens without a break"));
  // Another number of features, a token that is none of the image's.
  EXPECT_THAT(Find(prompt, {Item(2, 2)}, {1, kFeature, kRowEnd, 2}, {0, 1, 1, 0}).status(),
              Internal("image 0 of the request: 1 tokens for features, count says 2"));
  EXPECT_THAT(Find(prompt, {Item(2, 2)}, {1, kFeature, 9, 2}, {0, 1, 1, 0}).status(),
              Internal("image 0 of the request: token 2 is 9, which is none of image_token_ids"));
  // Text that is lost, or comes from nowhere.
  const Ids longer = {1, 2, 3, kImage, 4, 5, 6, 7};
  EXPECT_THAT(
      Find(longer, {Item(1, 1)}, {1, 3, kFeature, 4, 5, 6, 7}, {0, 0, 1, 0, 0, 0, 0}).status(),
      Internal("the expanded prompt lacks 1 text tokens from 2 on, between tokens 0 and 2"));
  EXPECT_THAT(
      Find(longer, {Item(1, 1)}, {1, 2, 3, kFeature, 4, 5, 9, 6, 7}, {0, 0, 0, 1, 0, 0, 0, 0, 0})
          .status(),
      Internal("the expanded prompt lacks 2 text tokens from 5 on, between tokens 4 and 9"));
}

// Newlines around an item are joined with those of its replacement; a token that began the prompt is behind the item now,
// and one ends it.
TEST(MediaPromptTest, TextMayBeJoinedWithWhatIsPutAtItsEnds) {
  KEEL_EXPECT_OK(Find({1, 9, 2, kImage, 3, 9, 9, 4, kImage, 5, 9, 6}, {Item(1, 1), Item(1, 1)},
                      {1, 9, 22, 7, kFeature, 8, 33, 9, 9, 4, 7, kFeature, 8, 55, 9, 66},
                      {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
                     .status());
  KEEL_EXPECT_OK(
      Find({1, kImage, 5, 6}, {Item(1, 1)}, {kFeature, 1, 5, 6, 9}, {1, 0, 0, 0, 0}).status());
}

TEST(MediaPromptTest, GroupsAreThoseOfTheItemsUnlessTheProcessorSaysOthers) {
  const std::vector<MediaTokensSpan> spans = {{6, 8, {}, 2}, {1, 4, {}, 3}, {4, 6, {}, 2}};
  ExpandedIds expanded;
  expanded.ids.resize(9);
  expanded.types = {0, 1, 1, 1, 1, 1, 1, 1, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(auto groups, FindGroups(spans, expanded, "TestProcessor"));
  EXPECT_THAT(groups, ElementsAre(TokenRange{1, 4}, TokenRange{4, 6}, TokenRange{6, 8}));
  expanded.groups = {7, 7, -1, 3, 0, 0, 0, -1, 1};
  KEEL_ASSERT_OK_AND_ASSIGN(groups, FindGroups(spans, expanded, "TestProcessor"));
  EXPECT_THAT(groups,
              ElementsAre(TokenRange{0, 2}, TokenRange{3, 4}, TokenRange{4, 7}, TokenRange{8, 9}));
  expanded.groups[8] = 7;
  EXPECT_THAT(FindGroups(spans, expanded, "TestProcessor").status(),
              Internal("token 8 is of group 7, whose other tokens are farther before"));
}

}  // namespace
}  // namespace keel
