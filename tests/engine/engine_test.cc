// The engine as an application sees it: a tiny Llama from its plugin, through libkeel.
#include "sdk/keel/engine.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr char kModel[] = "plugins/llama/testdata/default";

std::unique_ptr<Engine> Start(const std::map<std::string, std::string>& extra = {}) {
  Options options;
  EXPECT_TRUE(options.Set("model", kModel).ok());
  for (const auto& [name, value] : extra) {
    const Status status = options.Set(name, value);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  Result<Engine> engine = Engine::Create(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? std::make_unique<Engine>(std::move(engine).value()) : nullptr;
}

// What a request gave, put together.
struct Answer {
  std::map<uint32_t, std::vector<int32_t>> tokens;
  std::map<uint32_t, std::string> text, reason;
  Status status;
  size_t cached = 0;
  std::vector<float> prompt_logprobs;  // of all outputs
};

// Requests under way; the callbacks run on the engine's thread.
class Client {
 public:
  explicit Client(Engine& engine) : engine_(engine) {}
  ~Client() { Wait(); }

  // Starts a request; `on_output` sees each output before it is added.
  Status Start(int key, const Request& request, std::function<void(const Output&)> on_output = {}) {
    {
      std::lock_guard lock(mutex_);
      ++open_;
    }
    const Result<uint64_t> id =
        engine_.Submit(request, [this, key, on_output](const Output& output) {
          if (on_output) on_output(output);
          std::lock_guard lock(mutex_);
          Answer& answer = answers_[key];
          auto& tokens = answer.tokens[output.index()];
          tokens.insert(tokens.end(), output.tokens().begin(), output.tokens().end());
          answer.text[output.index()] += output.text();
          if (!output.finish_reason().empty())
            answer.reason[output.index()] = output.finish_reason();
          answer.status = output.status();
          answer.cached = output.cached_tokens();
          for (size_t i = 1; i < output.prompt_tokens().size(); ++i) {
            if (const auto logprob = output.prompt_logprob(i))
              answer.prompt_logprobs.push_back(logprob->logprob);
          }
          if (output.is_last()) --open_, done_.notify_all();
        });
    if (id.ok()) {
      ids_[key] = *id;
      return Status();
    }
    std::lock_guard lock(mutex_);
    --open_;
    return id.status();
  }

  void Cancel(int key) { (void)engine_.Cancel(ids_[key]); }

  std::map<int, Answer> Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return open_ == 0; });
    return answers_;
  }

 private:
  Engine& engine_;
  std::mutex mutex_;
  std::condition_variable done_;
  int open_ = 0;
  std::map<int, Answer> answers_;
  std::map<int, uint64_t> ids_;
};

Request Greedy(const std::vector<int32_t>& prompt, int64_t max_tokens) {
  Request request;
  EXPECT_TRUE(request.SetPromptTokens(prompt).ok());
  EXPECT_TRUE(request.SetInt("max_tokens", max_tokens).ok());
  EXPECT_TRUE(request.SetFloat("temperature", 0).ok());
  EXPECT_TRUE(request.SetInt("ignore_eos", 1).ok());
  return request;
}

std::vector<int32_t> Prompt(int seed, int size) {
  std::vector<int32_t> out(size);
  for (int i = 0; i < size; ++i) out[i] = 3 + (seed * 7919 + i * i * 31 + i * 17) % 120;
  return out;
}

Answer Alone(Engine& engine, const Request& request) {
  Client client(engine);
  const Status status = client.Start(0, request);
  EXPECT_TRUE(status.ok()) << status.message();
  return client.Wait()[0];
}

TEST(EngineTest, RequestsTogetherSayWhatEachSaysAlone) {
  const std::unique_ptr<Engine> engine = Start({{"enable-prefix-caching", "false"}});
  std::vector<Request> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(Greedy(Prompt(i, 1 + i * 13), 24));
  Client client(*engine);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(client.Start(i, requests[i]).ok());
  const std::map<int, Answer> together = client.Wait();
  for (int i = 0; i < 8; ++i) {
    const Answer alone = Alone(*engine, requests[i]);
    EXPECT_EQ(alone.tokens.at(0), together.at(i).tokens.at(0)) << "request " << i;
    EXPECT_EQ(alone.text.at(0), together.at(i).text.at(0)) << "request " << i;
    EXPECT_EQ(alone.tokens.at(0).size(), 24u);
    EXPECT_EQ(alone.reason.at(0), "length");
  }
}

TEST(EngineTest, ANewcomerGetsItsFirstTokenBeforeTheRunningOneEnds) {
  const std::unique_ptr<Engine> engine = Start();
  Client client(*engine);
  std::mutex mutex;
  std::condition_variable ready;
  bool long_started = false, long_ended = false, short_began_before_end = false;
  ASSERT_TRUE(client
                  .Start(0, Greedy(Prompt(1, 10), 400),
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
                  .Start(1, Greedy(Prompt(2, 20), 5),
                         [&](const Output&) {
                           std::lock_guard lock(mutex);
                           if (!long_ended) short_began_before_end = true;
                         })
                  .ok());
  std::map<int, Answer> answers = client.Wait();
  EXPECT_TRUE(short_began_before_end);
  EXPECT_EQ(answers[0].tokens[0], Alone(*engine, Greedy(Prompt(1, 10), 400)).tokens[0]);
  EXPECT_EQ(answers[1].tokens[0], Alone(*engine, Greedy(Prompt(2, 20), 5)).tokens[0]);
}

TEST(EngineTest, PreemptionChangesNothing) {
  // 12 blocks of 16 tokens for six sequences that grow to 90 tokens each.
  const std::unique_ptr<Engine> roomy = Start();
  const std::unique_ptr<Engine> tight =
      Start({{"kv-cache-memory-bytes", "98304"}, {"max-num-batched-tokens", "37"}});
  ASSERT_NE(tight, nullptr);
  Client client(*tight);
  std::vector<Request> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(Greedy(Prompt(i, 30), 60));
    ASSERT_TRUE(requests[i].SetInt("prompt_logprobs", 0).ok());
    const Status status = client.Start(i, requests[i]);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 6; ++i) {
    const Answer alone = Alone(*roomy, requests[i]);
    EXPECT_EQ(answers[i].tokens[0], alone.tokens.at(0)) << i;
    EXPECT_EQ(alone.prompt_logprobs.size(), 29u);
    EXPECT_THAT(answers[i].prompt_logprobs, Pointwise(FloatNear(1e-4), alone.prompt_logprobs)) << i;
  }
}

TEST(EngineTest, ASharedPrefixComesFromTheCacheAndGivesTheSameText) {
  const std::unique_ptr<Engine> engine = Start();
  const Request request = Greedy(Prompt(3, 100), 8);
  const Answer first = Alone(*engine, request), second = Alone(*engine, request);
  EXPECT_EQ(first.cached, 0u);
  EXPECT_EQ(second.cached, 96u);
  EXPECT_EQ(first.tokens, second.tokens);
}

TEST(EngineTest, ASeedGivesTheSameTextWhateverRunsBeside) {
  const std::unique_ptr<Engine> engine = Start();
  Request request = Greedy(Prompt(4, 12), 20);
  ASSERT_TRUE(request.SetFloat("temperature", 1.5).ok());
  ASSERT_TRUE(request.SetInt("seed", 42).ok());
  const Answer alone = Alone(*engine, request);
  Client client(*engine);
  for (int i = 1; i < 5; ++i) ASSERT_TRUE(client.Start(i, Greedy(Prompt(i, 40), 30)).ok());
  ASSERT_TRUE(client.Start(0, request).ok());
  EXPECT_EQ(client.Wait()[0].tokens, alone.tokens);
}

TEST(EngineTest, GivesNDifferentSequences) {
  const std::unique_ptr<Engine> engine = Start();
  Request request = Greedy(Prompt(5, 12), 20);
  ASSERT_TRUE(request.SetFloat("temperature", 1.5).ok());
  ASSERT_TRUE(request.SetInt("seed", 1).ok());
  ASSERT_TRUE(request.SetInt("n", 3).ok());
  const Answer answer = Alone(*engine, request);
  ASSERT_EQ(answer.tokens.size(), 3u);
  EXPECT_NE(answer.tokens.at(0), answer.tokens.at(1));
  EXPECT_NE(answer.tokens.at(1), answer.tokens.at(2));
}

TEST(EngineTest, StopsAtAStopStringAndNeverShowsIt) {
  const std::unique_ptr<Engine> engine = Start();
  const Answer whole = Alone(*engine, Greedy(Prompt(6, 9), 40));
  const std::string text = whole.text.at(0);
  ASSERT_GE(text.size(), 20u);
  const std::string stop = text.substr(10, 3);
  Request request = Greedy(Prompt(6, 9), 40);
  ASSERT_TRUE(request.AddString("stop", stop).ok());
  const Answer answer = Alone(*engine, request);
  EXPECT_EQ(answer.text.at(0), text.substr(0, text.find(stop)));
  EXPECT_EQ(answer.reason.at(0), "stop");
}

TEST(EngineTest, CancelEndsARequestWithAbort) {
  const std::unique_ptr<Engine> engine = Start();
  Client client(*engine);
  ASSERT_TRUE(client.Start(0, Greedy(Prompt(7, 9), 480)).ok());
  client.Cancel(0);
  EXPECT_EQ(client.Wait()[0].reason[0], "abort");
}

TEST(EngineTest, RefusesWhatCanNeverRunWithBothNumbers) {
  const std::unique_ptr<Engine> engine = Start();
  Client client(*engine);
  EXPECT_THAT(client.Start(0, Greedy(Prompt(8, 600), 1)).message(),
              HasSubstr("prompt has 600 tokens, the model takes at most 511"));
  EXPECT_THAT(client.Start(0, Greedy(Prompt(8, 500), 100)).message(),
              HasSubstr("max_tokens is 100 and the prompt has 500 tokens"));
  EXPECT_THAT(client.Start(0, Greedy({5, 100000}, 1)).message(),
              HasSubstr("token id 100000, expected 0 to 127"));
  EXPECT_THAT(client.Start(0, Greedy({}, 1)).message(), HasSubstr("prompt is empty"));
}

TEST(EngineTest, EveryWayOfExecutionGivesTheSameTokens) {
  const Request request = Greedy(Prompt(9, 50), 32);
  const Answer graph = Alone(*Start(), request);
  for (const std::map<std::string, std::string>& way :
       std::vector<std::map<std::string, std::string>>{{{"exec", "eager"}},
                                                       {{"exec", "shadow"}},
                                                       {{"tensor-parallel-size", "2"}},
                                                       {{"attention-implementation", "eager"}},
                                                       {{"attention-implementation", "sdpa"}},
                                                       {{"attention-implementation", "paged"}},
                                                       {{"max-num-batched-tokens", "7"}},
                                                       {{"block-size", "5"}}}) {
    const std::unique_ptr<Engine> engine = Start(way);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(Alone(*engine, request).tokens, graph.tokens)
        << way.begin()->first << " " << way.begin()->second;
  }
}

TEST(EngineTest, ServesMessagesThroughTheChatTemplate) {
  const std::unique_ptr<Engine> engine = Start();
  Request request;
  ASSERT_TRUE(request.SetMessages(R"([{"role": "user", "content": "hello"}])").ok());
  ASSERT_TRUE(request.SetInt("max_tokens", 4).ok());
  ASSERT_TRUE(request.SetFloat("temperature", 0).ok());
  EXPECT_EQ(Alone(*engine, request).tokens.size(), 1u);
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
