// Several sequences of one prompt: n and best_of.
#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

TEST(ManySequencesTest, EachSaysWhatTheNextSeedSaysAlone) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const auto ask = [](int64_t seed) {
    return Asked(Prompt(1, 21), 24).Draws(seed, 1.3).Int("logprobs", 2);
  };
  const Answer many = Ask(*engine, ask(70).Int("n", 4));
  ASSERT_EQ(many.texts.size(), 4u);
  EXPECT_EQ(many.num_last, 1);
  for (uint32_t i = 0; i < 4; ++i) {
    const Answer one = Ask(*engine, ask(70 + i));
    EXPECT_EQ(many[i].tokens, one[0].tokens) << i;
    EXPECT_EQ(many[i].text, one[0].text) << i;
    EXPECT_EQ(many[i].num_ends, 1);
    EXPECT_THAT(many[i].logprobs, Pointwise(FloatNear(1e-4), one[0].logprobs)) << i;
  }
  EXPECT_NE(many[0].tokens, many[1].tokens);
}

TEST(ManySequencesTest, SayTheSameWithFewPlacesAndBlocks) {
  const std::unique_ptr<Engine> roomy = StartEngine();
  const std::unique_ptr<Engine> tight =
      StartEngine(WithBlocks(9, {{"max-num-seqs", "3"}, {"max-num-batched-tokens", "19"}}));
  Client client(*tight);
  std::vector<Asked> asked;
  for (int i = 0; i < 4; ++i) {
    asked.push_back(Asked(Prompt(i, 5 + 17 * i), 50).Draws(i, 1.3).Int("n", 2 + i));
    ASSERT_TRUE(client.Start(i, asked.back()).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 4; ++i) {
    const Answer alone = Ask(*roomy, asked[i]);
    ASSERT_EQ(alone.texts.size(), static_cast<size_t>(2 + i));
    for (const auto& [index, text] : alone.texts)
      EXPECT_EQ(text.tokens, answers[i][index].tokens) << i << " " << index;
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));
}

TEST(ManySequencesTest, ComputeTheirPromptOnceAndShareItsBlocks) {
  // The prompt takes 4 blocks and each sequence one of its own.
  const std::unique_ptr<Engine> engine =
      StartEngine(WithBlocks(13, {{"enable-prefix-caching", "false"}}));
  const Answer answer = Ask(*engine, Asked(Prompt(2, 64), 16).Draws(1, 1.3).Int("n", 8));
  EXPECT_EQ(answer.texts.size(), 8u);
  EXPECT_TRUE(ComesToRest(*engine));
  EXPECT_EQ(Metric(*engine, "vllm:prompt_tokens_total"), 64);
  EXPECT_EQ(Metric(*engine, "vllm:generation_tokens_total"), 8 * 16);
  // The last token of each is not computed.
  EXPECT_EQ(Metric(*engine, "vllm:iteration_tokens_total_sum"), 64 + 8 * 15);
  EXPECT_EQ(Metric(*engine, "vllm:num_preemptions_total"), 0);
}

TEST(ManySequencesTest, BestOfGivesTheLikeliest) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const auto ask = [](int64_t n) {
    return Asked(Prompt(3, 17), 20).Draws(5, 1.5).Int("n", n).Add("stop_token_ids", 40);
  };
  const Answer all = Ask(*engine, ask(7).Int("logprobs", 0));
  std::vector<Text> ranked;
  for (const auto& [index, text] : all.texts) ranked.push_back(text);
  ASSERT_EQ(ranked.size(), 7u);
  std::stable_sort(ranked.begin(), ranked.end(), [](const Text& a, const Text& b) {
    return a.cumulative_logprob > b.cumulative_logprob;
  });
  for (const int64_t n : {1, 3, 7}) {
    const Answer best = Ask(*engine, ask(n).Int("best_of", 7));
    ASSERT_EQ(best.texts.size(), static_cast<size_t>(n));
    EXPECT_EQ(best.num_last, 1);
    // With as many as were asked for there is nothing to choose, nor to reorder.
    for (uint32_t i = 0; n < 7 && i < n; ++i) {
      EXPECT_EQ(best[i].tokens, ranked[i].tokens) << n << " " << i;
      EXPECT_EQ(best[i].text, ranked[i].text);
      EXPECT_EQ(best[i].reason, ranked[i].reason);
      EXPECT_NEAR(best[i].cumulative_logprob, ranked[i].cumulative_logprob, 1e-4);
      EXPECT_EQ(best[i].num_outputs, 1);  // not before the best are known
      EXPECT_TRUE(best[i].logprobs.empty());
    }
  }
}

TEST(ManySequencesTest, CumulativeLogprobIsTheSumOfTheTokens) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer answer = Ask(*engine, Asked(Prompt(3, 17), 20).Draws(5).Int("logprobs", 0));
  double sum = 0;
  for (const float logprob : answer[0].logprobs) sum += logprob;
  EXPECT_EQ(answer[0].logprobs.size(), 20u);
  EXPECT_NEAR(answer[0].cumulative_logprob, sum, 1e-4);
}

TEST(ManySequencesTest, BestOfThatIsLessThanNIsRefused) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  EXPECT_THAT(client.Start(0, Asked(Prompt(1, 5), 4).Int("n", 3).Int("best_of", 2)).message(),
              HasSubstr("best_of is 2, expected 3 to 128"));
}

}  // namespace
}  // namespace keel
