// Guesses from the prompt (--spec-method=ngram) change how many steps a text takes, nothing else.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

const Flags kGuesses = {{"spec-method", "ngram"}, {"spec-tokens", "6"}, {"prompt-lookup-min", "1"}};

// Seven tokens again and again: the model falls into loops after it.
std::vector<int32_t> Repetitive(int seed, int size) {
  std::vector<int32_t> out;
  const std::vector<int32_t> part = Prompt(seed, 7);
  while (static_cast<int>(out.size()) < size) out.push_back(part[out.size() % part.size()]);
  return out;
}

class SpeculationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    plain_ = StartEngine().release();
    guessing_ = StartEngine(kGuesses).release();
  }
  static void TearDownTestSuite() {
    delete plain_;
    delete guessing_;
  }

  static double Accepted() {
    return Metric(*guessing_, "vllm:spec_decode_num_accepted_tokens_total");
  }

  // Asks both engines; returns what both said.
  static Answer ExpectSame(const Request& request) {
    Answer plain = Ask(*plain_, request);
    const Answer guessed = Ask(*guessing_, request);
    EXPECT_EQ(plain.texts.size(), guessed.texts.size());
    for (const auto& [index, text] : plain.texts) {
      const Text& other = guessed[index];
      EXPECT_EQ(text.tokens, other.tokens);
      EXPECT_EQ(text.text, other.text);
      EXPECT_EQ(text.reason, other.reason);
      EXPECT_EQ(text.stop_reason, other.stop_reason);
      EXPECT_THAT(other.logprobs, Pointwise(FloatNear(1e-4), text.logprobs));
      EXPECT_NEAR(text.cumulative_logprob, other.cumulative_logprob, 1e-3);
      EXPECT_EQ(other.num_ends, 1);
    }
    return plain;
  }

  static Engine* plain_;
  static Engine* guessing_;
};
Engine* SpeculationTest::plain_ = nullptr;
Engine* SpeculationTest::guessing_ = nullptr;

TEST_F(SpeculationTest, GivesTheSameTokensAndLogprobsInFewerSteps) {
  const double before = Accepted();
  const double plain_steps = Metric(*plain_, "keel:steps_total");
  const double steps = Metric(*guessing_, "keel:steps_total");
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    ExpectSame(Asked(Repetitive(i, 40), 100).Int("logprobs", 3));
  }
  EXPECT_TRUE(ComesToRest(*plain_) && ComesToRest(*guessing_));
  const double accepted = Accepted() - before;
  EXPECT_GT(accepted, 50);
  EXPECT_GE(Metric(*guessing_, "vllm:spec_decode_num_draft_tokens_total"), Accepted());
  EXPECT_EQ(Metric(*plain_, "keel:steps_total") - plain_steps,
            Metric(*guessing_, "keel:steps_total") - steps + accepted);
}

TEST_F(SpeculationTest, GivesTheSameWithSeedsPenaltiesAndN) {
  const double before = Accepted();
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    const auto ask = [&] {
      return Asked(Repetitive(i, 33), 60).Draws(i, 0.4).Int("logprobs", 0).Int("n", 1 + i % 3);
    };
    ExpectSame(ask());
    ExpectSame(ask().Float("repetition_penalty", 1.1));
    ExpectSame(ask().Float("frequency_penalty", 0.1).Float("presence_penalty", -0.2));
    ExpectSame(ask().Float("top_p", 0.9).Int("top_k", 20).Float("min_p", 0.01));
    ExpectSame(ask().Int("best_of", 4));
    ExpectSame(ask().Int("prompt_logprobs", 0));
    ExpectSame(ask().Int("stream", 0));
  }
  EXPECT_GT(Accepted() - before, 20);
}

TEST_F(SpeculationTest, EndsExactlyAtMaxTokens) {
  for (int max_tokens = 1; max_tokens <= 40; max_tokens += 3) {
    SCOPED_TRACE(max_tokens);
    const Answer answer = ExpectSame(Asked(Repetitive(0, 40), max_tokens).Int("logprobs", 0));
    EXPECT_EQ(answer[0].tokens.size(), static_cast<size_t>(max_tokens));
    EXPECT_EQ(answer[0].logprobs.size(), static_cast<size_t>(max_tokens));
    EXPECT_EQ(answer[0].reason, "length");
  }
}

TEST_F(SpeculationTest, EndsExactlyWhereTheContextEnds) {
  const Answer answer = ExpectSame(Asked(Repetitive(2, 440), 72));
  EXPECT_EQ(answer[0].tokens.size(), 72u);
}

TEST_F(SpeculationTest, EndsExactlyAtStopTokens) {
  for (int i = 0; i < 2; ++i) {
    SCOPED_TRACE(i);
    const Answer whole = ExpectSame(Asked(Repetitive(i, 40), 60));
    for (size_t at = 0; at < 60; at += 7) {
      const Answer cut = ExpectSame(Asked(Repetitive(i, 40), 60)
                                        .Int("logprobs", 0)
                                        .Add("stop_token_ids", whole[0].tokens[at]));
      EXPECT_EQ(cut[0].reason, "stop");
      EXPECT_LE(cut[0].tokens.size(), at + 1);
      EXPECT_EQ(cut[0].tokens.back(), whole[0].tokens[at]);
    }
  }
}

TEST_F(SpeculationTest, EndsExactlyAtStopStrings) {
  for (int i = 0; i < 2; ++i) {
    const Answer whole = ExpectSame(Asked(Repetitive(i, 40), 60));
    const std::string& text = whole[0].text;
    for (size_t at = 0; at + 4 < text.size(); at += 9) {
      const std::string stop = text.substr(at, 4);
      // Not in the middle of a character.
      if ((stop[0] & 0xC0) == 0x80 || (text[at + 4] & 0xC0) == 0x80) continue;
      SCOPED_TRACE(stop);
      const Answer cut = ExpectSame(Asked(Repetitive(i, 40), 60).Add("stop", stop));
      EXPECT_EQ(cut[0].text, text.substr(0, text.find(stop)));
      EXPECT_EQ(cut[0].reason, "stop");
      EXPECT_EQ(cut[0].stop_reason, stop);
    }
  }
}

TEST_F(SpeculationTest, GivesTheSameBesideOthersWithTooFewBlocks) {
  Flags flags = WithBlocks(16, kGuesses);
  flags["max-num-batched-tokens"] = "29";
  const std::unique_ptr<Engine> tight = StartEngine(flags);
  Client client(*tight);
  std::vector<Asked> asked;
  for (int i = 0; i < 9; ++i) {
    asked.push_back(Asked(Repetitive(i, 3 + 6 * i), 80));
    if (i % 3 == 0) asked.back().Draws(i, 0.5).Int("n", 2);
    ASSERT_TRUE(client.Start(i, asked.back()).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 9; ++i) {
    const Answer alone = Ask(*plain_, asked[i]);
    for (const auto& [index, text] : alone.texts)
      EXPECT_EQ(text.tokens, answers[i][index].tokens) << i << " " << index;
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_GT(Metric(*tight, "vllm:spec_decode_num_accepted_tokens_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));
}

}  // namespace
}  // namespace keel
