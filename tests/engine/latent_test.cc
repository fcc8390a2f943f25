// Latent attention (DeepSeek-V3): what is cached for a token is a latent, and everything that goes by blocks goes on as it
// does with keys and values: prefixes are shared, beams fork, and who loses blocks computes them anew.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

constexpr char kCheckpoint[] = "plugins/deepseek_v3/testdata/default";

std::unique_ptr<Engine> Roomy() { return StartEngine({{"model", kCheckpoint}}); }

// 24 + 8 numbers of fp32 in three layers are 6144 bytes a block of 16 tokens: 26 blocks.
std::unique_ptr<Engine> Tight() {
  return StartEngine({{"model", kCheckpoint},
                      {"kv-cache-memory-bytes", "160000"},
                      {"max-num-batched-tokens", "11"}});
}

void ExpectTheSame(const Answer& answer, const Answer& expected) {
  ASSERT_EQ(answer.texts.size(), expected.texts.size());
  for (const auto& [index, text] : expected.texts)
    EXPECT_EQ(answer[index].tokens, text.tokens) << index;
}

TEST(LatentTest, TextsInChunksBesideOthersWithFewBlocksAreWhatTheyAreAlone) {
  const std::unique_ptr<Engine> roomy = Roomy(), tight = Tight();
  ASSERT_TRUE(roomy != nullptr && tight != nullptr);
  std::vector<Asked> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(Asked(Prompt(i / 2, 3 + 40 * i), 60));  // some begin alike
    if (i % 3 == 1) requests.back().Draws(i).Int("n", 2);
  }
  Client client(*tight);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(client.Start(i, requests[i]).ok());
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    ExpectTheSame(answers[i], Ask(*roomy, requests[i]));
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));
}

TEST(LatentTest, APrefixIsComputedOnce) {
  const std::unique_ptr<Engine> engine = Roomy();
  ASSERT_NE(engine, nullptr);
  const Asked request(Prompt(1, 200), 60);
  const Answer first = Ask(*engine, request), second = Ask(*engine, request);
  EXPECT_EQ(first.cached, 0u);
  EXPECT_GE(second.cached, 192u);
  ExpectTheSame(second, first);
}

TEST(LatentTest, BeamsForkTheirLatents) {
  const std::unique_ptr<Engine> roomy = Roomy(), tight = Tight();
  ASSERT_TRUE(roomy != nullptr && tight != nullptr);
  const Asked request = Asked(Prompt(4, 30), 20).Int("beam_width", 2).Int("n", 2);
  const Answer one = Ask(*roomy, request), other = Ask(*tight, request);
  ASSERT_EQ(one.texts.size(), 2u);
  EXPECT_NE(one[0].tokens, one[1].tokens);
  ExpectTheSame(other, one);
}

}  // namespace
}  // namespace keel
