// The engine as an application sees it: a tiny Llama from its plugin, through libkeel.
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

TEST(EngineTest, RequestsTogetherSayWhatEachSaysAlone) {
  const std::unique_ptr<Engine> engine = StartEngine({{"enable-prefix-caching", "false"}});
  std::vector<Asked> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(Asked(Prompt(i, 1 + i * 13), 24));
  Client client(*engine);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(client.Start(i, requests[i]).ok());
  const std::map<int, Answer> together = client.Wait();
  for (int i = 0; i < 8; ++i) {
    const Answer alone = Ask(*engine, requests[i]);
    EXPECT_EQ(alone[0].tokens, together.at(i)[0].tokens) << "request " << i;
    EXPECT_EQ(alone[0].text, together.at(i)[0].text) << "request " << i;
    EXPECT_EQ(alone[0].tokens.size(), 24u);
    EXPECT_EQ(alone[0].reason, "length");
  }
}

TEST(EngineTest, ANewcomerGetsItsFirstTokenBeforeTheRunningOneEnds) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  std::mutex mutex;
  std::condition_variable ready;
  bool long_started = false, long_ended = false, short_began_before_end = false;
  ASSERT_TRUE(client
                  .Start(0, Asked(Prompt(1, 10), 400),
                         [&](const Output& output) {
                           std::lock_guard lock(mutex);
                           long_started = true;
                           if (output.is_last()) long_ended = true;
                           ready.notify_all();
                         })
                  .ok());
  {
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return long_started; });
  }
  ASSERT_TRUE(client
                  .Start(1, Asked(Prompt(2, 20), 5),
                         [&](const Output&) {
                           std::lock_guard lock(mutex);
                           if (!long_ended) short_began_before_end = true;
                         })
                  .ok());
  std::map<int, Answer> answers = client.Wait();
  EXPECT_TRUE(short_began_before_end);
  EXPECT_EQ(answers[0][0].tokens, Ask(*engine, Asked(Prompt(1, 10), 400))[0].tokens);
  EXPECT_EQ(answers[1][0].tokens, Ask(*engine, Asked(Prompt(2, 20), 5))[0].tokens);
}

TEST(EngineTest, PreemptionChangesNothing) {
  // 12 blocks of 16 tokens for six sequences that grow to 90 tokens each.
  const std::unique_ptr<Engine> roomy = StartEngine();
  const std::unique_ptr<Engine> tight =
      StartEngine({{"kv-cache-memory-bytes", "98304"}, {"max-num-batched-tokens", "37"}});
  ASSERT_NE(tight, nullptr);
  Client client(*tight);
  std::vector<Asked> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(Asked(Prompt(i, 30), 60));
    requests[i].Int("prompt_logprobs", 0);
    const Status status = client.Start(i, requests[i]);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 6; ++i) {
    const Answer alone = Ask(*roomy, requests[i]);
    EXPECT_EQ(answers[i][0].tokens, alone[0].tokens) << i;
    EXPECT_EQ(alone[0].prompt_logprobs.size(), 29u);
    EXPECT_THAT(answers[i][0].prompt_logprobs, Pointwise(FloatNear(1e-4), alone[0].prompt_logprobs))
        << i;
  }
}

TEST(EngineTest, ASharedPrefixComesFromTheCacheAndGivesTheSameText) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Asked request(Prompt(3, 100), 8);
  const Answer first = Ask(*engine, request), second = Ask(*engine, request);
  EXPECT_EQ(first.cached, 0u);
  EXPECT_EQ(second.cached, 96u);
  EXPECT_EQ(first[0].tokens, second[0].tokens);
}

TEST(EngineTest, ASeedGivesTheSameTextWhateverRunsBeside) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Asked request(Prompt(4, 12), 20);
  request.Draws(42, 1.5);
  const Answer alone = Ask(*engine, request);
  Client client(*engine);
  for (int i = 1; i < 5; ++i) ASSERT_TRUE(client.Start(i, Asked(Prompt(i, 40), 30)).ok());
  ASSERT_TRUE(client.Start(0, request).ok());
  EXPECT_EQ(client.Wait()[0][0].tokens, alone[0].tokens);
}

TEST(EngineTest, GivesNDifferentSequences) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Asked request(Prompt(5, 12), 20);
  request.Draws(1, 1.5);
  request.Int("n", 3);
  const Answer answer = Ask(*engine, request);
  ASSERT_EQ(answer.texts.size(), 3u);
  EXPECT_NE(answer[0].tokens, answer[1].tokens);
  EXPECT_NE(answer[1].tokens, answer[2].tokens);
}

TEST(EngineTest, StopsAtAStopStringAndNeverShowsIt) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer whole = Ask(*engine, Asked(Prompt(6, 9), 40));
  const std::string text = whole[0].text;
  ASSERT_GE(text.size(), 20u);
  const std::string stop = text.substr(10, 3);
  Asked request(Prompt(6, 9), 40);
  request.Add("stop", stop);
  const Answer answer = Ask(*engine, request);
  EXPECT_EQ(answer[0].text, text.substr(0, text.find(stop)));
  EXPECT_EQ(answer[0].reason, "stop");
}

TEST(EngineTest, CancelEndsARequestWithAbort) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  ASSERT_TRUE(client.Start(0, Asked(Prompt(7, 9), 480)).ok());
  client.Cancel(0);
  EXPECT_EQ(client.Wait()[0][0].reason, "abort");
}

TEST(EngineTest, RefusesWhatCanNeverRunWithBothNumbers) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  EXPECT_THAT(client.Start(0, Asked(Prompt(8, 600), 1)).message(),
              HasSubstr("prompt has 600 tokens, the model takes at most 511"));
  EXPECT_THAT(client.Start(0, Asked(Prompt(8, 500), 100)).message(),
              HasSubstr("max_tokens is 100 and the prompt has 500 tokens"));
  EXPECT_THAT(client.Start(0, Asked({5, 100000}, 1)).message(),
              HasSubstr("token id 100000, expected 0 to 127"));
  EXPECT_THAT(client.Start(0, Asked({}, 1)).message(), HasSubstr("prompt is empty"));
}

TEST(EngineTest, EveryWayOfExecutionGivesTheSameTokens) {
  const Asked request(Prompt(9, 50), 32);
  const Answer graph = Ask(*StartEngine(), request);
  for (const std::map<std::string, std::string>& way :
       std::vector<std::map<std::string, std::string>>{{{"exec", "eager"}},
                                                       {{"exec", "shadow"}},
                                                       {{"tensor-parallel-size", "2"}},
                                                       {{"pipeline-parallel-size", "2"}},
                                                       {{"attention-implementation", "eager"}},
                                                       {{"attention-implementation", "sdpa"}},
                                                       {{"attention-implementation", "paged"}},
                                                       {{"max-num-batched-tokens", "7"}},
                                                       {{"block-size", "5"}}}) {
    const std::unique_ptr<Engine> engine = StartEngine(way);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(Ask(*engine, request)[0].tokens, graph[0].tokens)
        << way.begin()->first << " " << way.begin()->second;
  }
}

TEST(EngineTest, ServesMessagesThroughTheChatTemplate) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Request request;
  ASSERT_TRUE(request.SetMessages(R"([{"role": "user", "content": "hello"}])").ok());
  ASSERT_TRUE(request.SetInt("max_tokens", 4).ok());
  ASSERT_TRUE(request.SetFloat("temperature", 0).ok());
  EXPECT_EQ(Ask(*engine, request).texts.size(), 1u);
}

TEST(EngineOptionsTest, NamesWhatIsWrong) {
  Options options;
  EXPECT_THAT(options.Set("max-num-seq", "3").message(), HasSubstr("did you mean 'max-num-seqs'"));
  EXPECT_THAT(options.Set("max-num-seqs", "many").message(),
              HasSubstr("--max-num-seqs is 'many', expected a whole number"));
  ASSERT_TRUE(options.Set("model", "no/such/model/here").ok());
  EXPECT_THAT(Engine::Create(options).status().message(), HasSubstr("no/such/model/here"));
}

}  // namespace
}  // namespace keel
