#include "core/engine/output_worker.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/status_matchers.h"
#include "core/chat/parsers/parsers.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OutputWorkerTest : public ::testing::Test {
 protected:
  OutputWorkerTest() : tokenizer_(testing::TestTokenizer("llama2")) {
    worker_ = std::make_unique<OutputWorker>(
        metrics_, nullptr,
        OutputHooks{.no_text = [this](uint64_t request) { failed_.push_back(request); },
                    .last = [this](uint64_t request) { last_.push_back(request); }});
  }

  std::shared_ptr<OutputStream> Stream(uint64_t request, size_t keeps = 0) {
    auto channel = std::make_shared<OutputChannel>();
    channel->request = request;
    channel->keeps = keeps;
    channel->callback = [this](Output output) { outputs_.push_back(std::move(output)); };
    return std::make_shared<OutputStream>(channel, IncrementalDetokenizer(tokenizer_));
  }

  OutputEvent Event(const std::shared_ptr<OutputStream>& stream,
                    const std::vector<std::string>& tokens) {
    OutputEvent event;
    event.stream = stream;
    for (const std::string& token : tokens)
      event.tokens.push_back(tokenizer_->TokenToId(token).value());
    return event;
  }

  OutputEvent End(const std::shared_ptr<OutputStream>& stream,
                  const std::vector<std::string>& tokens, bool is_last = true) {
    OutputEvent event = Event(stream, tokens);
    event.end = SequenceEnd{.reason = FinishReason::kLength, .is_last = is_last};
    return event;
  }

  template <typename... Events>
  void Post(Events... events) {
    std::vector<OutputEvent> all;
    (all.push_back(std::move(events)), ...);
    worker_->Post(all);
    EXPECT_TRUE(all.empty());
  }

  static std::vector<std::string> Tokens(size_t n) { return std::vector<std::string>(n, "a"); }

  // All that was posted has been given.
  void Drain() { worker_ = nullptr; }

  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const Output& output : outputs_) texts.push_back(output.text);
    return texts;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  Metrics metrics_{"m"};
  std::vector<uint64_t> failed_, last_;
  std::vector<Output> outputs_;
  std::unique_ptr<OutputWorker> worker_;
};

TEST_F(OutputWorkerTest, GivesTextAsItBecomesCertain) {
  const auto stream = Stream(7);
  Post(Event(stream, {"a"}), Event(stream, {"<0xF0>", "<0x9F>"}));
  Post(Event(stream, {"<0x98>"}));
  Post(Event(stream, {"<0x80>"}), End(stream, {"b", "<0xE4>"}));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("a", "\U0001f600", "b\uFFFD"));
  EXPECT_EQ(outputs_[1].tokens.size(), 4u);
  EXPECT_EQ(outputs_[1].request, 7u);
  EXPECT_EQ(outputs_[2].finish_reason, FinishReason::kLength);
  EXPECT_TRUE(outputs_[2].is_last);
  EXPECT_THAT(last_, ElementsAre(7));
}

TEST_F(OutputWorkerTest, ATokenThatEndsHasNoText) {
  const auto stream = Stream(1);
  OutputEvent end = End(stream, {"a", "b"});
  end.silent_end = true;
  Post(std::move(end));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("a"));
  EXPECT_EQ(outputs_[0].tokens.size(), 2u);
}

TEST_F(OutputWorkerTest, TakesTextThatTheEngineMade) {
  const auto stream = Stream(1);
  OutputEvent event = Event(stream, {"a"});
  event.text = "other";
  OutputEvent end = End(stream, {"b"});
  end.text = "";
  Post(std::move(event), std::move(end));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("other", ""));
}

TEST_F(OutputWorkerTest, ATextIsTakenApart) {
  const auto stream = Stream(1);
  stream->parser = MakeOutputParser({"", "qwen3"}, {std::make_shared<const ToolList>()});
  OutputEvent thinks = Event(stream, {"a"}), says = Event(stream, {"a"}), end = End(stream, {"b"});
  thinks.text = "<think>hm</th";
  says.text = "ink>\n\nyes";
  end.text = "!";
  Post(std::move(thinks), std::move(says));
  Post(std::move(end));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("", "yes", "!"));
  ASSERT_EQ(outputs_[0].parts.size(), 1u);
  EXPECT_EQ(outputs_[0].parts[0].kind, OutputPart::Kind::kReasoning);
  EXPECT_EQ(outputs_[0].parts[0].text, "hm");
  EXPECT_EQ(outputs_[1].parts[0].text, "yes");
}

// Neither the markers nor what follows them.
TEST_F(OutputWorkerTest, TokensOfTheReasoningAreCounted) {
  const auto stream = Stream(1);
  stream->parser = MakeOutputParser({"", "qwen3"}, {std::make_shared<const ToolList>()});
  const auto say = [&](const char* text) {
    OutputEvent event = Event(stream, {"a"});
    event.text = text;
    Post(std::move(event));
  };
  for (const char* text : {"<think>", "\n", "a", " </", "b", "</", "think>", "\n", "c"}) say(text);
  Post(End(stream, {"b"}));
  // One that ends within it; tokens that come together.
  const auto other = Stream(2);
  other->parser = MakeOutputParser({"", "deepseek_r1"}, {std::make_shared<const ToolList>()});
  OutputEvent end = End(other, {"a", "b"});
  end.text = "x</";
  Post(Event(other, {"a", "b", "a"}), std::move(end));
  Drain();
  std::map<uint64_t, int64_t> counts;
  for (const Output& output : outputs_) counts[output.request] += output.reasoning_tokens;
  EXPECT_EQ(counts[1], 4);  // "\n", "a", " </", "b"
  EXPECT_EQ(counts[2], 5);
  EXPECT_THAT(metrics_.Text(),
              HasSubstr("keel:reasoning_tokens_total{model_name=\"m\",engine=\"0\"} 9"));
}

TEST_F(OutputWorkerTest, WithoutStreamingThereIsOneOutput) {
  const auto stream = Stream(1);
  stream->channel->streams = false;
  Post(Event(stream, {"a"}), Event(stream, {"b"}), End(stream, {"a"}));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("aba"));
}

TEST_F(OutputWorkerTest, KeepsTheLikeliest) {
  const auto first = Stream(1, /*keeps=*/2);
  const auto second = std::make_shared<OutputStream>(*first),
             third = std::make_shared<OutputStream>(*first);
  OutputEvent a = End(first, {"a"}, false), b = End(second, {"b"}, false), c = End(third, {"c"});
  a.cumulative_logprob = -2, b.cumulative_logprob = -3, c.cumulative_logprob = -1;
  Post(Event(first, {"a"}), std::move(a), std::move(b), std::move(c));
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("c", "aa"));
  EXPECT_EQ(outputs_[1].index, 1u);
  EXPECT_FALSE(outputs_[0].is_last);
  EXPECT_TRUE(outputs_[1].is_last);
  EXPECT_THAT(last_, ElementsAre(1));
}

TEST_F(OutputWorkerTest, APostDoesNotWaitForACallback) {
  const auto slow = Stream(1);
  slow->channel->callback = [this](Output output) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    outputs_.push_back(std::move(output));
  };
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) Post(Event(slow, {"a"}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
  Post(End(slow, {"b"}));
  Drain();
  EXPECT_EQ(outputs_.size(), 11u);
  EXPECT_TRUE(outputs_.back().is_last);
}

TEST_F(OutputWorkerTest, JoinsOutputsForAReaderThatIsBehind) {
  const auto stream = Stream(7);
  stream->channel->max_unread = 1000;
  Post(Event(stream, Tokens(64)), Event(stream, Tokens(1)), Event(stream, Tokens(1)),
       End(stream, Tokens(1)));
  Drain();
  ASSERT_EQ(outputs_.size(), 2u);
  EXPECT_EQ(outputs_[0].tokens.size(), 64u);
  EXPECT_EQ(outputs_[1].tokens.size(), 3u);
  EXPECT_EQ(outputs_[1].text, "aaa");
}

TEST_F(OutputWorkerTest, WhoeverReadsNothingPausesItsRequestUntilItReads) {
  absl::Notification paused, resumed;
  worker_ = std::make_unique<OutputWorker>(
      metrics_, nullptr,
      OutputHooks{.no_text = [](uint64_t) {},
                  .last = [](uint64_t) {},
                  .too_far_ahead = [&](uint64_t) { paused.Notify(); },
                  .caught_up = [&](uint64_t) { resumed.Notify(); }});
  const auto stream = Stream(7);
  stream->channel->max_unread = 70;
  Post(Event(stream, Tokens(64)), Event(stream, Tokens(10)));
  paused.WaitForNotification();
  worker_->Read(stream->channel, 1);  // 63 are left: what is held back comes
  worker_->Read(stream->channel, 63);
  worker_->Read(stream->channel, 10);
  resumed.WaitForNotification();
  Post(End(stream, Tokens(1)));
  Drain();
  ASSERT_EQ(outputs_.size(), 3u);
  EXPECT_EQ(outputs_[1].tokens.size(), 10u);
}

TEST_F(OutputWorkerTest, WithoutFlowControlNobodyIsWaitedFor) {
  const auto stream = Stream(7);
  for (int i = 0; i < 10; ++i) Post(Event(stream, Tokens(1000)));
  Post(End(stream, Tokens(1)));
  Drain();
  EXPECT_EQ(outputs_.size(), 11u);
}

}  // namespace
}  // namespace keel
