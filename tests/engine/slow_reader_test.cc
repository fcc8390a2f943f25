// Requests whose reader is behind: they pause, others go on, and no text is lost.
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

constexpr char kWaiting[] = "vllm:num_requests_waiting_by_reason";

// True once `sequences` are paused and nothing else is there.
bool RestsWithPaused(const Engine& engine, int sequences) {
  for (int i = 0; i < 1000; ++i) {
    if (Metric(engine, kWaiting, "deferred") == sequences &&
        Metric(engine, kWaiting, "capacity") == 0 &&
        Metric(engine, "vllm:num_requests_running") == 0 &&
        Metric(engine, "vllm:kv_cache_usage_perc") == 0) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// 16 sequences of 480 tokens: more than a queue holds.
Asked Long() { return Asked(Prompt(1, 20), 480).Draws(7).Int("n", 16); }

void ExpectSameTexts(const Answer& answer, const Answer& expected) {
  ASSERT_EQ(answer.texts.size(), expected.texts.size());
  for (const auto& [index, text] : answer.texts) {
    EXPECT_EQ(text.tokens, expected[index].tokens) << index;
    EXPECT_EQ(text.text, expected[index].text) << index;
    EXPECT_EQ(text.num_ends, 1);
  }
  EXPECT_EQ(answer.num_last, 1);
}

Answer PollToEnd(Engine& engine, uint64_t id) {
  Answer answer;
  while (answer.num_last == 0) {
    const Result<Output> output = engine.Poll(id);
    EXPECT_TRUE(output.ok()) << output.status().message();
    if (!output.ok()) break;
    Add(*output, answer);
  }
  return answer;
}

TEST(SlowReaderTest, APolledRequestWaitsForItsReaderAndHoldsUpNobody) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer expected = Ask(*engine, Long());
  const double before = Metric(*engine, "vllm:generation_tokens_total");
  const Result<uint64_t> id = engine->Submit(Long());
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(RestsWithPaused(*engine, 16));
  const double produced = Metric(*engine, "vllm:generation_tokens_total") - before;
  EXPECT_GE(produced, 4096);
  EXPECT_LT(produced, 16 * 480);  // the engine is some steps ahead until it has heard
  EXPECT_EQ(Ask(*engine, Asked(Prompt(2, 10), 5))[0].tokens.size(), 5u);
  EXPECT_TRUE(RestsWithPaused(*engine, 16));
  ExpectSameTexts(PollToEnd(*engine, *id), expected);
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(SlowReaderTest, APausedRequestGoesOnWithTheSameText) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Asked request = Asked(Prompt(3, 20), 480).Draws(5);
  const Answer expected = Ask(*engine, request);
  for (const size_t at : {1, 40, 150}) {
    Client client(*engine);
    size_t seen = 0;
    std::atomic<uint64_t> id = 0;
    ASSERT_TRUE(client
                    .Start(0, request,
                           [&](const Output& output) {
                             const size_t before = seen;
                             seen += output.tokens().size();
                             if (before >= at || seen < at) return;
                             id = output.request();
                             EXPECT_TRUE(engine->Pause(id).ok());
                             EXPECT_TRUE(engine->Pause(id).ok());  // changes nothing
                           })
                    .ok());
    ASSERT_TRUE(RestsWithPaused(*engine, 1)) << at;
    EXPECT_TRUE(engine->Resume(id).ok());
    const Answer answer = client.Wait()[0];
    ExpectSameTexts(answer, expected);
    EXPECT_EQ(engine->Resume(id).code(), Code::kNotFound);
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(SlowReaderTest, APausedRequestCanBeCancelledAndRunsOutOfTime) {
  const std::unique_ptr<Engine> engine = StartEngine();
  for (const bool cancel : {true, false}) {
    Asked request(Prompt(1, 20), 480);
    if (!cancel) request.Int("timeout_ms", 300);
    Client client(*engine);
    ASSERT_TRUE(client
                    .Start(0, request,
                           [&](const Output& output) {
                             if (output.finish_reason().empty())
                               (void)engine->Pause(output.request());
                           })
                    .ok());
    if (cancel) {
      ASSERT_TRUE(RestsWithPaused(*engine, 1));
      client.Cancel(0);
    }
    const Answer answer = client.Wait()[0];
    EXPECT_EQ(answer[0].reason, "abort");
    EXPECT_EQ(answer.num_last, 1);
    EXPECT_LT(answer[0].tokens.size(), 480u);
    EXPECT_EQ(answer.status.code(), cancel ? Code::kOk : Code::kDeadlineExceeded);
    EXPECT_TRUE(ComesToRest(*engine));
  }
}

TEST(SlowReaderTest, ARequestWithFlowControlWaitsForWhatItsReaderTakes) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer expected = Ask(*engine, Long());
  std::mutex mutex;
  Answer answer;
  int64_t given = 0;
  const Result<uint64_t> id =
      engine->Submit(Long().Int("max_unread_tokens", 1000), [&](const Output& output) {
        const std::lock_guard lock(mutex);
        Add(output, answer);
        given += static_cast<int64_t>(output.tokens().size());
      });
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(RestsWithPaused(*engine, 16));
  for (int64_t read = 0;;) {
    int64_t news = 0;
    {
      const std::lock_guard lock(mutex);
      if (answer.num_last > 0) break;
      EXPECT_LT(given - read, 2000);  // some steps until the engine has heard
      news = given - std::exchange(read, given);
    }
    // NOT_FOUND: it has ended.
    (void)engine->Read(*id, news);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(ComesToRest(*engine));
  ExpectSameTexts(answer, expected);
}

TEST(SlowReaderTest, AnEngineEndsWithPausedRequests) {
  std::unique_ptr<Engine> engine = StartEngine();
  const Result<uint64_t> id = engine->Submit(Long());
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(RestsWithPaused(*engine, 16));
  engine = nullptr;
}

}  // namespace
}  // namespace keel
