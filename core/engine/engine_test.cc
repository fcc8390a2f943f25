#include "core/engine/engine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_matchers.h"
#include "core/engine/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::FakeExecutor;
using ::keel::testing::FakeModel;
using ::keel::testing::Letter;
using ::keel::testing::Letters;
using ::keel::testing::MakeFakeModel;
using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Request Ask(const std::string& prompt, int64_t max_tokens) {
  Request request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  return request;
}

struct Answer {
  struct Text {
    std::string text, stop_reason;
    std::vector<int32_t> tokens;
    FinishReason reason = FinishReason::kNone;
    absl::Status status;
  };
  std::map<uint32_t, Text> texts;
  int num_last = 0;

  const Text& operator[](uint32_t index) const { return texts.at(index); }
};

// Requests to one engine over a fake model, and what came of them.
class EngineTest : public ::testing::Test {
 protected:
  void Serve(FakeModel fake, const EngineOptions& options = {}) {
    executor_ = fake.executor;
    auto engine = Engine::Serve(options, std::move(fake.model));
    KEEL_ASSERT_OK(engine.status());
    engine_ = *std::move(engine);
  }

  // Its status; the answer comes to answers_[key].
  absl::Status Start(int key, const Request& request) {
    const auto id = engine_->Submit(request, [this, key](Output output) {
      absl::MutexLock lock(&mutex_);
      Answer& answer = answers_[key];
      Answer::Text& text = answer.texts[output.index];
      text.text += output.text;
      text.tokens.insert(text.tokens.end(), output.tokens.begin(), output.tokens.end());
      text.reason = output.finish_reason;
      text.stop_reason = output.stop_reason;
      text.status = output.status;
      answer.num_last += output.is_last ? 1 : 0;
    });
    if (id.ok()) ids_[key] = *id;
    return id.status();
  }

  Answer WaitFor(int key) {
    const auto has_ended = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return answers_[key].num_last > 0;
    };
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&has_ended), absl::Seconds(20)));
    EXPECT_EQ(answers_[key].num_last, 1);
    return answers_[key];
  }

  Answer Run(const Request& request) {
    const int key = --next_key_;
    const absl::Status status = Start(key, request);
    KEEL_EXPECT_OK(status);
    return status.ok() ? WaitFor(key) : Answer();
  }

  FakeExecutor* executor_ = nullptr;
  std::map<int, uint64_t> ids_;
  int next_key_ = 0;
  absl::Mutex mutex_;
  std::map<int, Answer> answers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Engine> engine_;  // goes first
};

TEST_F(EngineTest, SaysWhatTheModelSays) {
  Serve(MakeFakeModel());
  const Answer answer = Run(Ask("ab", 5));
  EXPECT_EQ(answer[0].text, "cdefg");
  EXPECT_EQ(answer[0].reason, FinishReason::kLength);
  const Answer whole = Run(Ask("w", 50));
  EXPECT_EQ(whole[0].text, "xyz");
  EXPECT_EQ(whole[0].reason, FinishReason::kStop);
}

// A model whose reasoning stands between <think>, with which the prompt ends, and </think>.
FakeModel ThinkingModel(FakeExecutor::Logits logits) {
  FakeModel fake = MakeFakeModel(std::move(logits));
  fake.model.parsers.reasoning = "qwen3";
  return fake;
}

TEST_F(EngineTest, ABudgetEndsReasoning) {
  for (const auto method : {SpeculationMethod::kNone, SpeculationMethod::kNgram}) {
    EngineOptions options;
    options.speculation.method = method;
    Serve(ThinkingModel(testing::SayAlphabet), options);
    Request request = Ask("<think>", 20);
    request.parsing = Request::Parsing{.tools = ToolUse::kNone};
    request.thinking_token_budget = 3;
    request.n = 2;
    const Answer answer = Run(request);
    for (const uint32_t i : {0, 1}) {
      EXPECT_EQ(answer[i].tokens.size(), 20);  // "?@A", seven for </think>
      EXPECT_EQ(answer[i].text, "?@ABCDEFGH");
    }
    request.thinking_token_budget = 1000;
    EXPECT_EQ(Run(request)[0].text, "");
  }
}

TEST_F(EngineTest, AGrammarWaitsForTheEndOfReasoning) {
  // It would rather end at once, wherever it may.
  const std::string script = "hm</think>";
  Serve(ThinkingModel([script](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
    const size_t at = tokens.size() - std::string("<think>").size();
    if (at < script.size()) logits[static_cast<size_t>(Letter(script[at]))] = 40;
    logits[testing::kEnd] = 50;
  }));
  Request request = Ask("", 40);
  request.prompt = Letters("<think>");
  request.parsing = Request::Parsing{.tools = ToolUse::kNone};
  request.grammar = GrammarSpec{.kind = GrammarSpec::Kind::kRegex, .source = "yes"};
  const Answer answer = Run(request);
  EXPECT_EQ(answer[0].text, "yes");
  EXPECT_EQ(answer[0].reason, FinishReason::kStop);
  EXPECT_EQ(std::vector<int32_t>(answer[0].tokens.begin(), answer[0].tokens.begin() + 13),
            Letters("hm</think>yes"));
  // Where the prompt has not begun it, and no token does, the answer comes first.
  request.prompt = Letters("abcdefg");
  EXPECT_EQ(Run(request)[0].text, "yes");
}

TEST_F(EngineTest, ManyRequestsShareStepsAndTooFewBlocks) {
  EngineOptions options;
  options.scheduler.max_num_batched_tokens = 20;
  Serve(MakeFakeModel(testing::SayAlphabet, /*num_blocks=*/6), options);
  for (int i = 0; i < 12; ++i) {
    Request request = Ask(std::string(1 + i * 5, 'a'), 24);
    request.n = 1 + i % 3;
    KEEL_ASSERT_OK(Start(i, request));
  }
  for (int i = 0; i < 12; ++i) {
    const Answer answer = WaitFor(i);
    ASSERT_EQ(answer.texts.size(), static_cast<size_t>(1 + i % 3));
    for (const auto& [index, text] : answer.texts) EXPECT_EQ(text.text, "bcdefghijklmnopqrstuvwxy");
  }
  EXPECT_GT(engine_->metrics().num_preemptions.Value(), 0);
}

TEST_F(EngineTest, DraftsChangeHowManyStepsAndNotTheText) {
  // The alphabet over and over: a prompt that has it once foretells the rest.
  const auto round = [](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
    const int32_t next = tokens.back() == Letter('z') ? Letter('a') : tokens.back() + 1;
    logits[static_cast<size_t>(next)] = 10;
  };
  EngineOptions options;
  options.speculation.method = SpeculationMethod::kNgram;
  Serve(MakeFakeModel(round), options);
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyz";
  Request request = Ask("", 52);
  request.prompt = Letters(alphabet);
  EXPECT_EQ(Run(request)[0].text, alphabet + alphabet);
  EXPECT_LT(executor_->num_steps(), 26);
}

TEST_F(EngineTest, APausedRequestWaitsUntilItIsResumedOrCancelled) {
  absl::Notification go[2];
  Serve(MakeFakeModel([&](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
    if (tokens.front() <= 1) go[tokens.front()].WaitForNotification();
    logits[5] = 1;
  }));
  for (const int key : {0, 1}) {
    Request request = Ask("", 200);
    request.prompt = std::vector<int32_t>{key};
    KEEL_ASSERT_OK(Start(key, request));
    KEEL_ASSERT_OK(engine_->Pause(ids_[key]));
    go[key].Notify();
    EXPECT_EQ(Run(Ask("b", 3))[0].tokens.size(), 3u);
    KEEL_ASSERT_OK(key == 0 ? engine_->Resume(ids_[key]) : engine_->Cancel(ids_[key]));
    const Answer answer = WaitFor(key);
    EXPECT_LE(answer[0].tokens.size(), key == 0 ? 200u : 1u);
    EXPECT_EQ(answer[0].reason, key == 0 ? FinishReason::kLength : FinishReason::kAbort);
  }
  EXPECT_THAT(engine_->Cancel(ids_[0]), StatusIs(absl::StatusCode::kNotFound, HasSubstr("ended")));
}

TEST_F(EngineTest, AStepThatFailsEndsThoseThatWereInIt) {
  Serve(MakeFakeModel());
  executor_->FailOnce(absl::InternalError("no more heat"));
  EXPECT_THAT(Run(Ask("a", 5))[0].status,
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no more heat")));
  EXPECT_EQ(Run(Ask("a", 5))[0].text, "bcdef");
}

// ---- constraints that leave no token ---------------------------------------------------------------

TEST_F(EngineTest, ConstraintsThatLeaveNoFirstTokenAreRefused) {
  Serve(MakeFakeModel());
  const auto refusal = [&](const auto& change) {
    Request request = Ask("a", 5);
    change(request);
    return Start(0, request);
  };
  const auto is = [](const char* names) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(names));
  };
  const auto choice = [](Request& r, const char* text) {
    r.grammar = GrammarSpec{.kind = GrammarSpec::Kind::kChoice, .source = text};
  };
  for (const int64_t n : {1, 3}) {
    for (const bool beams : {false, true}) {
      EXPECT_THAT(refusal([&](Request& r) {
                    r.n = n;
                    if (beams) r.beams = BeamOptions{.width = 4};
                    r.sampling.allowed_token_ids = {Letter('b')};
                    r.sampling.bad_words = {"b"};
                  }),
                  is("allowed_token_ids and bad_words together leave no token"));
    }
    EXPECT_THAT(refusal([&](Request& r) {
                  r.n = n;
                  r.sampling.temperature = 1;
                  choice(r, R"(["!"])");
                  r.sampling.bad_words = {"!"};
                }),
                is("structured output and bad_words together leave no token"));
  }
  EXPECT_THAT(refusal([&](Request& r) {
                choice(r, R"(["!"])");
                r.sampling.allowed_token_ids = {Letter('b')};
              }),
              is("structured output and allowed_token_ids together leave no token"));
  EXPECT_THAT(refusal([&](Request& r) {
                r.sampling.allowed_token_ids = {testing::kEnd};
                r.sampling.min_tokens = 2;
              }),
              is("allowed_token_ids and min_tokens together leave no token"));
}

TEST_F(EngineTest, ConstraintsThatLeaveNoLaterTokenEndTheRequestAndNoOther) {
  Serve(MakeFakeModel());
  KEEL_ASSERT_OK(Start(0, Ask("a", 20)));
  const auto expect = [&](Request request, size_t tokens, const char* names) {
    for (const int64_t n : {1, 2}) {
      for (const bool stream : {true, false}) {
        request.n = n;
        request.stream = stream;
        const Answer answer = Run(request);
        ASSERT_EQ(answer.texts.size(), static_cast<size_t>(n));
        for (const auto& [index, text] : answer.texts) {
          EXPECT_EQ(text.tokens.size(), tokens) << text.text;
          EXPECT_EQ(text.reason, FinishReason::kError);
          EXPECT_THAT(text.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(names)));
        }
      }
    }
  };
  Request words = Ask("a", 5);
  words.sampling.allowed_token_ids = {Letter('b')};
  words.sampling.bad_words = {"bb"};
  expect(words, 1, "allowed_token_ids and bad_words");
  Request grammar = Ask("a", 5);
  grammar.grammar = GrammarSpec{.kind = GrammarSpec::Kind::kChoice, .source = R"(["xyz"])"};
  grammar.sampling.allowed_token_ids = Letters("xy");
  expect(grammar, 2, "structured output and allowed_token_ids");
  grammar.sampling.allowed_token_ids = {};
  grammar.sampling.bad_words = {"yz"};
  expect(grammar, 2, "structured output and bad_words");
  grammar.sampling.bad_words = {};
  grammar.sampling.min_tokens = 4;
  expect(grammar, 3, "structured output and min_tokens");
  grammar.ignore_eos = true;
  expect(grammar, 3, "structured output and min_tokens");
  Request end = Ask("a", 5);
  end.sampling.allowed_token_ids = {Letter('b'), testing::kEnd};
  end.sampling.bad_words = {"bb"};
  end.sampling.min_tokens = 2;
  expect(end, 1, "allowed_token_ids and bad_words and min_tokens");
  EXPECT_EQ(WaitFor(0)[0].text, "bcdefghijklmnopqrstu");
}

TEST_F(EngineTest, ASearchGoesOnWithoutABeamThatMayNotGoOn) {
  Serve(MakeFakeModel());
  Request request = Ask("a", 3);
  request.beams = BeamOptions{.width = 2};
  request.n = 2;
  // The beam "bc" may not go on at all: whatever follows is a bad word, or not allowed.
  request.sampling.allowed_token_ids = Letters("bcd");
  request.sampling.bad_words = {"bcb", "bcc", "bcd"};
  const Answer answer = Run(request);
  ASSERT_EQ(answer.texts.size(), 2u);
  for (const auto& [index, text] : answer.texts) {
    EXPECT_EQ(text.reason, FinishReason::kLength);
    EXPECT_EQ(text.text.size(), 3u);
    EXPECT_EQ(text.text.find("bc"), std::string::npos) << text.text;
  }
}

TEST_F(EngineTest, ASearchWithoutAnyBeamLeftEndsWithTheConstraintsAndNoOtherDoes) {
  Serve(MakeFakeModel());
  KEEL_ASSERT_OK(Start(0, Ask("a", 20)));
  Request request = Ask("a", 3);
  request.beams = BeamOptions{.width = 2};
  request.n = 2;
  request.sampling.allowed_token_ids = Letters("bc");
  request.sampling.bad_words = {"bb", "bc", "cb", "cc"};
  const Answer answer = Run(request);
  ASSERT_EQ(answer.texts.size(), 1u);
  EXPECT_THAT(answer[0].status,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("allowed_token_ids and bad_words together leave no token to "
                                 "choose as token 2 of the answer")));
  EXPECT_EQ(WaitFor(0)[0].text, "bcdefghijklmnopqrstu");
  EXPECT_EQ(Run(Ask("a", 3))[0].text, "bcd");
}

// ---- logits that are no numbers --------------------------------------------------------------------

TEST_F(EngineTest, LogitsThatAreNoNumbersEndTheirRequestAndAreCounted) {
  Serve(MakeFakeModel([](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
    testing::SayAlphabet(tokens, logits);
    if (tokens.front() == Letter('#') && tokens.size() > 3)
      std::fill(logits.begin(), logits.end(), NAN);
  }));
  KEEL_ASSERT_OK(Start(0, Ask("a", 20)));
  int corrupted = 0;
  for (const int64_t n : {1, 3}) {
    for (const bool beams : {false, true}) {
      Request request = Ask("#a", 9);
      request.n = n;
      if (beams) request.beams = BeamOptions{.width = 3};
      const Answer answer = Run(request);
      for (const auto& [index, text] : answer.texts) {
        EXPECT_EQ(text.reason, FinishReason::kError);
        EXPECT_THAT(text.status,
                    StatusIs(absl::StatusCode::kDataLoss, HasSubstr("hold no finite number")));
        EXPECT_LE(text.tokens.size(), 2u);
      }
      EXPECT_EQ(engine_->metrics().corrupted_requests.Value(), ++corrupted);
    }
  }
  EXPECT_EQ(WaitFor(0)[0].text, "bcdefghijklmnopqrstu");
}

// ---- ends ------------------------------------------------------------------------------------------

TEST_F(EngineTest, StopStringsWaitForMinTokens) {
  Serve(MakeFakeModel());
  Request request = Ask("a", 20);
  request.stop = {"d", "jk"};
  EXPECT_EQ(Run(request)[0].text, "bc");
  request.sampling.min_tokens = 3;  // "d" is among them
  EXPECT_EQ(Run(request)[0].text, "bcdefghi");
  request.sampling.min_tokens = 9;  // "jk" ends after them
  EXPECT_EQ(Run(request)[0].text, "bcdefghi");
  EXPECT_EQ(Run(request)[0].stop_reason, "jk");
  request.sampling.min_tokens = 10;
  EXPECT_EQ(Run(request)[0].text, "bcdefghijklmnopqrstu");
}

TEST_F(EngineTest, WhatEndedATextIsPartOfItWhenAsked) {
  Serve(MakeFakeModel());
  Request request = Ask("a", 20);
  request.stop_token_ids = {Letter('e')};
  for (const bool has_stop : {false, true}) {
    if (has_stop) request.stop = {"xx"};
    request.include_stop_str_in_output = false;
    EXPECT_EQ(Run(request)[0].text, "bcd");
    request.include_stop_str_in_output = true;
    const Answer answer = Run(request);
    EXPECT_EQ(answer[0].text, "bcde");
    EXPECT_EQ(answer[0].stop_reason, std::to_string(Letter('e')));
  }
  request.stop = {};
  request.beams = BeamOptions{.width = 2};
  EXPECT_EQ(Run(request)[0].text, "bcde");
  request.include_stop_str_in_output = false;
  EXPECT_EQ(Run(request)[0].text, "bcd");
}

TEST_F(EngineTest, WithoutTokensToGenerateThePromptIsComputedAndNothingIsSaid) {
  Serve(MakeFakeModel());
  Request request = Ask("abc", 0);
  request.sampling.prompt_logprobs = 0;
  for (const int64_t n : {1, 2}) {
    request.n = n;
    const Answer answer = Run(request);
    ASSERT_EQ(answer.texts.size(), static_cast<size_t>(n));
    for (const auto& [index, text] : answer.texts) {
      EXPECT_EQ(text.text, "");
      EXPECT_THAT(text.tokens, ElementsAre());
      EXPECT_EQ(text.reason, FinishReason::kLength);
    }
  }
  EXPECT_EQ(executor_->num_tokens(), 6);
}

TEST_F(EngineTest, ATimeoutEndsWithWhatThereIs) {
  absl::Notification go;
  Serve(MakeFakeModel([&](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
    if (tokens.size() == 4) go.WaitForNotification();
    testing::SayAlphabet(tokens, logits);
  }));
  Request request = Ask("a", 20);
  request.timeout_ms = 20;
  KEEL_ASSERT_OK(Start(0, request));
  absl::SleepFor(absl::Milliseconds(30));
  go.Notify();
  const Answer answer = WaitFor(0);
  EXPECT_EQ(answer[0].reason, FinishReason::kAbort);
  EXPECT_THAT(answer[0].status, StatusIs(absl::StatusCode::kDeadlineExceeded,
                                         HasSubstr("not done within timeout_ms 20")));
  EXPECT_TRUE(absl::StartsWith("bcdefgh", answer[0].text)) << answer[0].text;
}

TEST_F(EngineTest, AFullQueueRefusesAndSaysTheLimit) {
  EngineOptions options;
  options.max_queued_requests = 1;
  options.scheduler.max_num_seqs = 1;
  absl::Notification go;
  Serve(MakeFakeModel([&](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
          go.WaitForNotification();
          testing::SayAlphabet(tokens, logits);
        }),
        options);
  for (int i = 0; i < 2; ++i) KEEL_ASSERT_OK(Start(i, Ask("a", 3)));
  EXPECT_THAT(Start(2, Ask("a", 3)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("the limit is 2 ")));
  go.Notify();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(WaitFor(i)[0].text, "bcd");
}

TEST_F(EngineTest, TheQueueCountsSequences) {
  EngineOptions options;
  options.max_queued_requests = 2;
  options.scheduler.max_num_seqs = 2;
  absl::Notification go;
  Serve(MakeFakeModel([&](absl::Span<const int32_t> tokens, absl::Span<float> logits) {
          go.WaitForNotification();
          testing::SayAlphabet(tokens, logits);
        }),
        options);
  const auto refusal = [&](const char* words, absl::StatusCode code) {
    return StatusIs(code, HasSubstr(words));
  };
  Request three = Ask("a", 3), five = Ask("a", 3);
  three.n = 3;
  five.n = 5;
  KEEL_ASSERT_OK(Start(0, three));
  EXPECT_THAT(Start(1, three),
              refusal("3 sequences are running or waiting and the request has 3, the limit is 4",
                      absl::StatusCode::kResourceExhausted));
  KEEL_ASSERT_OK(Start(2, Ask("a", 3)));
  // For good: no use in trying again.
  EXPECT_THAT(Start(3, five),
              refusal("has 5 sequences, expected at most 4", absl::StatusCode::kInvalidArgument));
  five.n = 1;
  five.beams = BeamOptions{.width = 5};
  EXPECT_THAT(Start(3, five), refusal("has 5 sequences", absl::StatusCode::kInvalidArgument));
  go.Notify();
  WaitFor(0);
  WaitFor(2);
  KEEL_ASSERT_OK(Start(4, three));
  EXPECT_EQ(WaitFor(4)[0].text, "bcd");
}

TEST_F(EngineTest, AReadersPauseAndAClientsAreTwo) {
  Serve(MakeFakeModel([](auto, absl::Span<float> logits) {
    absl::SleepFor(absl::Milliseconds(2));  // else it may be done before anybody reads
    logits[5] = 1;
  }));
  Request request = Ask("a", 200);
  request.max_unread_tokens = 80;
  KEEL_ASSERT_OK(Start(0, request));
  const auto tokens_now = [&] {
    absl::SleepFor(absl::Milliseconds(50));
    absl::MutexLock lock(&mutex_);
    return answers_[0].texts[0].tokens.size();
  };
  while (engine_->metrics().waiting_deferred.Value() == 0) absl::SleepFor(absl::Milliseconds(1));
  const size_t at_pause = tokens_now();
  // A client that resumes does not set the reader's limit aside.
  KEEL_ASSERT_OK(engine_->Resume(ids_[0]));
  EXPECT_EQ(tokens_now(), at_pause);
  EXPECT_EQ(engine_->metrics().waiting_deferred.Value(), 1);
  // A reader that has read does not end a client's pause.
  KEEL_ASSERT_OK(engine_->Pause(ids_[0]));
  KEEL_ASSERT_OK(engine_->Read(ids_[0], 1000));
  const size_t paused = tokens_now();
  EXPECT_EQ(tokens_now(), paused);
  EXPECT_EQ(engine_->metrics().waiting_deferred.Value(), 1);
  EXPECT_LT(paused, 200u);
  KEEL_ASSERT_OK(engine_->Resume(ids_[0]));
  while (engine_->num_requests() > 0) {
    engine_->Read(ids_[0], 1000).IgnoreError();
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(WaitFor(0)[0].tokens.size(), 200u);
}

TEST_F(EngineTest, ItsEndEndsEveryRequest) {
  Serve(MakeFakeModel([](auto, absl::Span<float> logits) { logits[5] = 1; }));
  for (int i = 0; i < 10; ++i) KEEL_ASSERT_OK(Start(i, Ask("a", 200)));
  engine_ = nullptr;
  for (int i = 0; i < 10; ++i) WaitFor(i);
}

}  // namespace
}  // namespace keel
