// Log-probabilities of prompts, which are computed in pieces.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

TEST(PromptLogprobsTest, AreTheSameInPiecesOfEverySize) {
  // Of a prompt longer than one piece (128 tokens) and than a block.
  const Asked request = Asked(Prompt(1, 300), 3).Int("prompt_logprobs", 0);
  const Answer whole = Ask(*StartEngine(), request);
  ASSERT_EQ(whole[0].prompt_logprobs.size(), 299u);
  for (const char* tokens : {"17", "129"}) {
    const std::unique_ptr<Engine> engine = StartEngine({{"max-num-batched-tokens", tokens}});
    const Answer answer = Ask(*engine, request);
    EXPECT_THAT(answer[0].prompt_logprobs, Pointwise(FloatNear(1e-4), whole[0].prompt_logprobs))
        << tokens;
    EXPECT_EQ(answer[0].tokens, whole[0].tokens);
  }
}

TEST(PromptLogprobsTest, AreWhatTheTokensGetWhenTheyAreGenerated) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const std::vector<int32_t> prompt = Prompt(2, 10);
  const Answer answer = Ask(*engine, Asked(prompt, 150).Int("logprobs", 0));
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), answer[0].tokens.begin(), answer[0].tokens.end());
  const Answer again = Ask(*engine, Asked(all, 1).Int("prompt_logprobs", 0));
  const std::vector<float>& of_all = again[0].prompt_logprobs;
  ASSERT_EQ(of_all.size(), 159u);
  EXPECT_THAT(std::vector<float>(of_all.begin() + 9, of_all.end()),
              Pointwise(FloatNear(1e-4), answer[0].logprobs));
}

TEST(PromptLogprobsTest, AreThereThoughThePromptIsInTheCacheAndInEverySequence) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const auto ask = [] { return Asked(Prompt(3, 200), 4).Draws(1); };
  Ask(*engine, ask());
  const Answer answer = Ask(*engine, ask().Int("prompt_logprobs", 2).Int("n", 3));
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answer[i].prompt_logprobs.size(), 199u);
    EXPECT_EQ(answer[i].prompt_logprobs, answer[0].prompt_logprobs);
  }
  const Answer beams =
      Ask(*engine, Asked(Prompt(3, 200), 4).Int("prompt_logprobs", 2).Int("beam_width", 3));
  EXPECT_EQ(beams[0].prompt_logprobs.size(), 199u);
}

TEST(PromptLogprobsTest, ComeOnceWhenThePromptIsComputedAgain) {
  const std::unique_ptr<Engine> roomy = StartEngine();
  const std::unique_ptr<Engine> tight =
      StartEngine(WithBlocks(20, {{"max-num-batched-tokens", "50"}}));
  Client client(*tight);
  std::vector<Asked> asked;
  for (int i = 0; i < 4; ++i) {
    asked.push_back(Asked(Prompt(i, 140 + 20 * i), 90).Int("prompt_logprobs", 0));
    ASSERT_TRUE(client.Start(i, asked.back()).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 4; ++i) {
    const Answer alone = Ask(*roomy, asked[i]);
    EXPECT_EQ(answers[i][0].tokens, alone[0].tokens);
    EXPECT_THAT(answers[i][0].prompt_logprobs,
                Pointwise(FloatNear(1e-4), alone[0].prompt_logprobs));
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
}

}  // namespace
}  // namespace keel
