#include "core/engine/prepare.h"

#include <memory>
#include <string>
#include <utility>

#include "core/base/status_matchers.h"
#include "core/engine/beam_decoding.h"
#include "core/engine/draft_decoding.h"
#include "core/engine/prepare_parsing.h"
#include "core/engine/testing.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Letter;
using ::keel::testing::Letters;
using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RequestPreparerTest : public ::testing::Test {
 protected:
  RequestPreparerTest() : fake_(testing::MakeFakeModel()) { request_.prompt = "abc"; }

  absl::StatusOr<std::unique_ptr<RunningRequest>> Prepare(const PromptLookupOptions& drafts = {}) {
    return RequestPreparer(fake_.model, drafts, metrics_).Prepare(request_, [](Output) {});
  }

  void ExpectRefused(const std::string& message) {
    EXPECT_THAT(Prepare(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }

  testing::FakeModel fake_;
  Metrics metrics_{"m"};
  Request request_;
};

TEST_F(RequestPreparerTest, APromptBecomesASequenceThatIsReadyToRun) {
  request_.priority = 3;
  request_.cache_salt = "salt";
  const auto prepared = Prepare();
  KEEL_ASSERT_OK(prepared.status());
  const RunningRequest& request = **prepared;
  EXPECT_EQ(*request.prompt, Letters("abc"));
  EXPECT_EQ(request.max_tokens, 253);  // what the context leaves
  EXPECT_THAT(request.end_token_ids, ElementsAre(testing::kEnd));
  ASSERT_EQ(request.sequences.size(), 1u);
  const RunningSequence& sequence = *request.sequences[0];
  EXPECT_EQ(sequence.tokens, Letters("abc"));
  EXPECT_EQ(sequence.prompt_tokens, 3);
  EXPECT_EQ(sequence.priority, 3);
  EXPECT_EQ(sequence.cache_salt, "salt");
  EXPECT_EQ(sequence.running, &sequence);
}

TEST_F(RequestPreparerTest, PromptsOfOtherRopeShareNoCache) {
  const auto salt = [&](int64_t tokens) {
    request_.prompt = std::vector<int32_t>(static_cast<size_t>(tokens), 5);
    const auto prepared = Prepare();
    return prepared.ok() ? (*prepared)->sequences[0]->cache_salt : "refused";
  };
  request_.cache_salt = "salt";
  EXPECT_EQ(salt(101), salt(100));
  fake_.model.prompt_rope = {.trained = 100, .each_own = false};  // longrope
  EXPECT_EQ(salt(100), "salt");
  EXPECT_NE(salt(101), salt(100));
  EXPECT_EQ(salt(101), salt(102));
  fake_.model.prompt_rope = {.trained = 100, .each_own = true};  // dynamic NTK
  EXPECT_NE(salt(101), salt(102));
}

TEST_F(RequestPreparerTest, AnAnswersUsualLengthIsThatOfGenerationConfig) {
  fake_.model.generation.max_new_tokens = 7;
  EXPECT_EQ((*Prepare())->max_tokens, 7);
  fake_.model.generation.max_new_tokens = 1000;  // more than the prompt leaves
  EXPECT_EQ((*Prepare())->max_tokens, 253);
  fake_.model.generation.max_new_tokens = 7;
  request_.max_tokens = 20;
  EXPECT_EQ((*Prepare())->max_tokens, 20);
}

TEST_F(RequestPreparerTest, TheSequencesThatBranchOffHaveTheNextSeeds) {
  request_.n = 2;
  request_.best_of = 4;
  request_.sampling.seed = 10;
  const auto prepared = Prepare();
  KEEL_ASSERT_OK(prepared.status());
  EXPECT_THAT((*prepared)->sequences[0]->fork_seeds, ElementsAre(11, 12, 13));
  EXPECT_EQ((*prepared)->outputs->keeps, 2u);
}

TEST_F(RequestPreparerTest, ChoosesTheDecoding) {
  const auto plain = Prepare(), drafts = Prepare({.num_tokens = 4});
  request_.beams = BeamOptions{.width = 3};
  const auto beams = Prepare({.num_tokens = 4});
  EXPECT_EQ(dynamic_cast<DraftDecoding*>((*plain)->decoding.get()), nullptr);
  EXPECT_NE(dynamic_cast<DraftDecoding*>((*drafts)->decoding.get()), nullptr);
  EXPECT_NE(dynamic_cast<BeamDecoding*>((*beams)->decoding.get()), nullptr);
  EXPECT_EQ((*beams)->sequences[0]->num_candidates, 6);
}

TEST_F(RequestPreparerTest, RefusesWhatCanNotBe) {
  request_.prompt = std::monostate();
  ExpectRefused("the request has no prompt");
  request_.prompt = std::vector<int32_t>{};
  ExpectRefused("prompt is empty");
  request_.prompt = std::vector<int32_t>{5000};
  ExpectRefused("token id 5000, expected 0 to 511");
  request_.prompt = std::vector<int32_t>(300, 5);
  ExpectRefused("prompt has 300 tokens, the model takes at most 255");
  request_.prompt = "abc";
  request_.max_tokens = 254;
  ExpectRefused("max_tokens is 254 and the prompt has 3 tokens");
  request_.max_tokens = -1;
  ExpectRefused("max_tokens is -1, expected 0");
  request_.max_tokens = {};
  request_.n = 129;
  ExpectRefused("n is 129, expected 1 to 128");
  request_.n = 1;
  request_.sampling.top_p = 2;
  ExpectRefused("top_p is 2");
}

// Whatever the tokenizer makes of it: WordPiece drops spaces, Unigram takes what it doesn't know as one.
TEST_F(RequestPreparerTest, WhatIsSurelyTooLongIsRefusedByItsCharacters) {
  for (const char* tokenizer : {"qwen", "wordpiece", "unigram"}) {
    fake_.model.text.tokenizer = testing::TestTokenizer(tokenizer);
    const int64_t most =
        fake_.model.max_model_len * fake_.model.text.tokenizer->max_token_characters();
    request_.prompt = std::string(static_cast<size_t>(most) + 1, ' ');
    ExpectRefused("characters, the model takes at most 255 tokens");
  }
}

// Where the context is long, a text of megabytes is under that bound.
TEST_F(RequestPreparerTest, WhatIsTooLongInItsBeginningIsRefusedByThat) {
  for (const char* tokenizer : {"qwen", "wordpiece", "unigram"}) {
    fake_.model.text.tokenizer = testing::TestTokenizer(tokenizer);
    fake_.model.max_model_len = 100'000;
    std::string words;
    while (words.size() < 1'000'000) words += "hello w\xC3\xB6rld ";
    request_.prompt = words;
    ExpectRefused(
        " tokens in its first 800000 of 1000012 bytes, the model takes at most 99999 and");
  }
}

TEST_F(RequestPreparerTest, RefusesMoreTokensAtLeastThanAtMost) {
  request_.max_tokens = 5;
  request_.sampling.min_tokens = 5;
  KEEL_EXPECT_OK(Prepare().status());
  request_.sampling.min_tokens = 6;
  ExpectRefused("min_tokens is 6, expected at most max_tokens, which is 5");
  request_.max_tokens = {};
  request_.sampling.min_tokens = 254;
  ExpectRefused("min_tokens is 254, expected at most max_tokens, which is 253 (what the prompt");
}

TEST_F(RequestPreparerTest, RefusesConstraintsThatLeaveNoFirstToken) {
  request_.sampling.allowed_token_ids = {Letter('!')};
  request_.sampling.bad_words = {"!"};
  ExpectRefused("allowed_token_ids and bad_words together leave no token to choose as token 1");
  request_.sampling.bad_words = {"!!"};
  KEEL_EXPECT_OK(Prepare().status());
}

TEST_F(RequestPreparerTest, UnsetValuesComeFromTheModel) {
  fake_.model.generation.temperature = -1;
  ExpectRefused("temperature is -1");
  request_.sampling.temperature = 1;
  KEEL_EXPECT_OK(Prepare().status());
}

// Tools that a request names and what may be called of them.
class ToolChoiceTest : public RequestPreparerTest {
 protected:
  ToolChoiceTest() {
    fake_.model.parsers = {"hermes", ""};
    ChatPrompt chat;
    chat.messages = R"([{"role": "user", "content": "a"}])";
    chat.tools = R"([{"name": "f", "parameters": {"type": "object"}}])";
    request_.prompt = std::move(chat);
    request_.parsing = Request::Parsing{};
  }
  // Of what the request becomes.
  absl::Status Apply() {
    applied_ = request_;
    return ApplyToolChoice(fake_.model, applied_);
  }

  Request applied_;
};

TEST_F(ToolChoiceTest, AGrammarForcesWhatIsRequired) {
  KEEL_ASSERT_OK(Apply());
  EXPECT_FALSE(applied_.grammar.has_value());
  request_.parsing->tools = ToolUse::kRequired;
  KEEL_ASSERT_OK(Apply());
  EXPECT_THAT(applied_.grammar->source, HasSubstr(R"("name":{"enum":["f"]})"));
  request_.parsing->tools = ToolUse::kNamed;
  request_.parsing->named = "f";
  KEEL_ASSERT_OK(Apply());
  EXPECT_EQ(applied_.grammar->source, R"({"type":"object"})");
}

TEST_F(ToolChoiceTest, WhatCannotBeCalledIsRefused) {
  request_.parsing = Request::Parsing{.tools = ToolUse::kNamed, .named = "g"};
  EXPECT_THAT(Apply(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("names 'g'")));
  request_.parsing = Request::Parsing{.tools = ToolUse::kRequired};
  request_.grammar = GrammarSpec{.kind = GrammarSpec::Kind::kRegex, .source = "a"};
  EXPECT_THAT(Apply(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one of them")));
  request_.grammar.reset();
  std::get<ChatPrompt>(request_.prompt).tools = "";
  EXPECT_THAT(Apply(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tools")));
  std::get<ChatPrompt>(request_.prompt).tools = "[5]";
  EXPECT_THAT(Apply(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tools[0]")));
}

TEST_F(ToolChoiceTest, CallsThatNobodyCanReadAreRefusedUnlessForced) {
  fake_.model.parsers.tools = "";
  EXPECT_THAT(Apply(), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("--tool-call-parser")));
  request_.parsing->tools = ToolUse::kRequired;
  KEEL_EXPECT_OK(Apply());
  request_.parsing->tools = ToolUse::kNone;
  KEEL_EXPECT_OK(Apply());
  std::get<ChatPrompt>(request_.prompt).tools = "";
  request_.parsing->tools = ToolUse::kAuto;
  KEEL_EXPECT_OK(Apply());
}

}  // namespace
}  // namespace keel
