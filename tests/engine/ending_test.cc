// Requests that end before their text does: timeout_ms and cancel.
#include <chrono>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::HasSubstr;

bool IsPrefix(const std::vector<int32_t>& part, const std::vector<int32_t>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// Node by node, steps of a tiny model take long enough for an end in their midst.
Flags Slow() { return {{"exec", "graph"}}; }

// Four sequences of 480 tokens: more than a moment's work on any machine.
Asked Long(int seed) { return Asked(Prompt(seed, 20), 480).Draws(seed, 1).Int("n", 4); }

TEST(EndingTest, TimeoutEndsWithWhatThereIs) {
  const std::unique_ptr<Engine> engine = StartEngine(Slow());
  const Answer whole = Ask(*engine, Long(1));
  for (const int stream : {0, 1}) {
    const Answer answer = Ask(*engine, Long(1).Int("timeout_ms", 25).Int("stream", stream));
    EXPECT_EQ(answer.num_last, 1);
    EXPECT_EQ(answer.status.code(), Code::kDeadlineExceeded);
    EXPECT_THAT(answer.status.message(), HasSubstr("not done within timeout_ms 25"));
    ASSERT_EQ(answer.texts.size(), 4u);
    for (const auto& [index, text] : answer.texts) {
      EXPECT_EQ(text.reason, "abort");
      EXPECT_EQ(text.num_ends, 1);
      EXPECT_FALSE(text.tokens.empty());
      EXPECT_LT(text.tokens.size(), 480u);
      EXPECT_TRUE(IsPrefix(text.tokens, whole[index].tokens));
    }
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(EndingTest, TimeoutEndsOneThatStillWaits) {
  const std::unique_ptr<Engine> engine = StartEngine({{"max-num-seqs", "1"}});
  Client client(*engine);
  ASSERT_TRUE(client.Start(0, Long(1)).ok());
  ASSERT_TRUE(client.Start(1, Asked(Prompt(2, 10), 5).Int("timeout_ms", 30)).ok());
  client.WaitFor(1);
  client.Cancel(0);
  const Answer answer = client.Wait()[1];
  EXPECT_EQ(answer.status.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(answer[0].reason, "abort");
  EXPECT_TRUE(answer[0].tokens.empty());
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(EndingTest, TimeoutThatIsNotReachedChangesNothing) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer whole = Ask(*engine, Asked(Prompt(2, 10), 5));
  const Answer answer = Ask(*engine, Asked(Prompt(2, 10), 5).Int("timeout_ms", 100000));
  EXPECT_EQ(answer[0].tokens, whole[0].tokens);
  EXPECT_EQ(answer[0].reason, "length");
  EXPECT_TRUE(answer.status.ok());
}

TEST(EndingTest, TimeoutOfBestOfAndOfBeamsEndsEachTextOnce) {
  const std::unique_ptr<Engine> engine = StartEngine(Slow());
  const Answer best = Ask(*engine, Long(1).Int("n", 2).Int("best_of", 4).Int("timeout_ms", 25));
  EXPECT_EQ(best.texts.size(), 2u);
  const Answer beams = Ask(
      *engine, Asked(Prompt(1, 20), 480).Int("beam_width", 16).Int("n", 2).Int("timeout_ms", 25));
  for (const Answer* answer : {&best, &beams}) {
    EXPECT_EQ(answer->num_last, 1);
    EXPECT_EQ(answer->status.code(), Code::kDeadlineExceeded);
    for (const auto& [index, text] : answer->texts) {
      EXPECT_EQ(text.reason, "abort");
      EXPECT_EQ(text.num_ends, 1);
      EXPECT_FALSE(text.tokens.empty()) << index;
    }
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(EndingTest, CancelAtAnyTimeEndsOnceAndFreesAll) {
  const std::unique_ptr<Engine> engine =
      StartEngine(WithBlocks(40, {{"max-num-batched-tokens", "61"}, {"spec-method", "ngram"}}));
  const auto ask = [](int i) {
    Asked out(Prompt(i % 10, 5 + 11 * (i % 10)), 100);
    out.Draws(i % 10, 0.5);
    switch (i % 10) {
      case 1:
        return out.Int("n", 3);
      case 2:
        return out.Int("beam_width", 3);
      case 3:
        return out.Int("best_of", 3);
      case 4:
        return out.String("structured_regex", "[a-z]{200}");
      case 5:
        return out.Int("prompt_logprobs", 1);
      default:
        return out;
    }
  };
  std::vector<Answer> whole;
  for (int i = 0; i < 10; ++i) whole.push_back(Ask(*engine, ask(i)));
  std::mt19937 random(1);
  Client client(*engine);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(client.Start(i, ask(i)).ok());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    if (i >= 8) client.Cancel(i - static_cast<int>(random() % 8));
    client.WaitFor(16);
  }
  for (int i = 0; i < 60; ++i) client.Cancel(i);
  int aborted = 0;
  for (const auto& [key, answer] : client.Wait()) {
    SCOPED_TRACE(key);
    EXPECT_EQ(answer.num_last, 1);
    for (const auto& [index, text] : answer.texts) {
      EXPECT_EQ(text.num_ends, 1);
      aborted += text.reason == "abort";
      if (key % 10 == 2 || key % 10 == 3) continue;  // the order of the best is not known yet
      EXPECT_TRUE(IsPrefix(text.tokens, whole[key % 10][index].tokens));
      if (text.reason != "abort") {
        EXPECT_EQ(text.tokens, whole[key % 10][index].tokens);
      }
    }
  }
  EXPECT_GT(aborted, 10);
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(EndingTest, CancelOfWhatHasEndedIsNotFound) {
  std::unique_ptr<Engine> engine = StartEngine();
  const Result<uint64_t> id = engine->Submit(Asked(Prompt(1, 5), 1));
  ASSERT_TRUE(id.ok());
  const Result<Output> output = engine->Poll(*id);
  ASSERT_TRUE(output.ok() && output->is_last());
  EXPECT_EQ(engine->Cancel(*id).code(), Code::kNotFound);
  EXPECT_EQ(engine->Cancel(12345).code(), Code::kNotFound);
}

TEST(EndingTest, FreeingTheEngineEndsEveryRequest) {
  // Many times: what was submitted last may not have been seen by the engine's thread.
  for (int round = 0; round < 3; ++round) {
    std::unique_ptr<Engine> engine = StartEngine();
    int ended = 0;  // the engine's thread is done when it is read
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(engine
                      ->Submit(Asked(Prompt(i, 30), 400),
                               [&](const Output& output) { ended += output.is_last(); })
                      .ok());
    }
    engine.reset();
    EXPECT_EQ(ended, 20);
  }
}

}  // namespace
}  // namespace keel
