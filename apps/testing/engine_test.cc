// sdk/keel/engine.h over an engine ABI without a model.
#include "sdk/keel/engine.h"

#include <future>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace keel {
namespace {

Engine NewEngine() {
  Result<Engine> engine = Engine::Create(Options());
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(engine).value();
}

Request NewRequest(std::string_view prompt) {
  Request request;
  EXPECT_TRUE(request.SetPrompt(prompt).ok());
  return request;
}

// Runs to the last output and joins what came.
OwnedOutput RunToEnd(Engine& engine, const Request& request) {
  auto all = std::make_shared<OwnedOutput>();
  std::promise<void> done;
  auto id = engine.Submit(request, [all, &done](const Output& output) {
    all->Append(OwnedOutput(output));
    if (output.is_last()) done.set_value();
  });
  EXPECT_TRUE(id.ok()) << id.status().message();
  done.get_future().wait();
  return *all;
}

TEST(EngineTest, GivesTextTokensAndTheReasonOfTheEnd) {
  Engine engine = NewEngine();
  const OwnedOutput output = RunToEnd(engine, NewRequest("abc"));
  EXPECT_EQ(output.text, "abc");
  EXPECT_EQ(output.tokens, (std::vector<int32_t>{'a', 'b', 'c', 257}));
  EXPECT_EQ(output.finish_reason, "stop");
  EXPECT_TRUE(output.logprobs.empty());
}

TEST(EngineTest, GivesLogprobsWhenAskedFor) {
  Engine engine = NewEngine();
  Request request = NewRequest("ab");
  ASSERT_TRUE(request.SetInt("logprobs", 2).ok());
  const OwnedOutput output = RunToEnd(engine, request);
  ASSERT_EQ(output.logprobs.size(), 3U);
  EXPECT_FLOAT_EQ(output.logprobs[1].logprob, -0.5F);
  EXPECT_EQ(output.logprobs[1].top_tokens, (std::vector<int32_t>{'b', 'c'}));
}

TEST(EngineTest, OutputsCanBePolled) {
  Engine engine = NewEngine();
  auto id = engine.Submit(NewRequest("xyz"));
  ASSERT_TRUE(id.ok());
  std::string text;
  while (true) {
    auto output = engine.Poll(*id);
    ASSERT_TRUE(output.ok()) << output.status().message();
    text += output->text();
    if (output->is_last()) break;
  }
  EXPECT_EQ(text, "xyz");
  EXPECT_EQ(engine.Poll(*id).status().code(), Code::kNotFound);
}

TEST(EngineTest, CancelEndsARequestWithAbort) {
  Options options;
  ASSERT_TRUE(options.Set("step-ms", "5").ok());
  auto engine = Engine::Create(options);
  ASSERT_TRUE(engine.ok());
  Request request = NewRequest("for ever");
  ASSERT_TRUE(request.SetInt("ignore_eos", 1).ok());
  auto id = engine->Submit(request);
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(engine->Poll(*id).ok());
  EXPECT_TRUE(engine->Cancel(*id).ok());
  std::string reason;
  while (reason.empty()) reason = engine->Poll(*id)->finish_reason();
  EXPECT_EQ(reason, "abort");
}

TEST(EngineTest, ErrorsCarryTheirCodeAndMessage) {
  Options options;
  const Status unknown = options.Set("no-such-option", "1");
  EXPECT_EQ(unknown.code(), Code::kInvalidArgument);
  EXPECT_EQ(unknown.message(), "unknown option no-such-option");

  Engine engine = NewEngine();
  const OwnedOutput output = RunToEnd(engine, NewRequest("[fail] late"));
  EXPECT_EQ(output.finish_reason, "error");
  EXPECT_EQ(output.status.code(), Code::kInternal);
  EXPECT_EQ(output.status.message(), "the step failed");
}

TEST(EngineTest, FreeingTheEngineEndsWhatRuns) {
  auto outputs = std::make_shared<OwnedOutput>();
  {
    Engine engine = NewEngine();
    Request request = NewRequest("for ever");
    ASSERT_TRUE(request.SetInt("ignore_eos", 1).ok());
    auto id = engine.Submit(
        request, [outputs](const Output& output) { outputs->Append(OwnedOutput(output)); });
    ASSERT_TRUE(id.ok());
  }
  EXPECT_TRUE(outputs->is_last);
  EXPECT_EQ(outputs.use_count(), 1);  // the callback is gone
}

TEST(OptionsTest, AreDescribedInOrder) {
  const auto all = Options::Describe();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().name, "model");
}

}  // namespace
}  // namespace keel
