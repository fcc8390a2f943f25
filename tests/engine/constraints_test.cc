// What a request says of its tokens and its end: constraints that may contradict each other, min_tokens, stop tokens.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A token and its text, which is that token again.
struct Word {
  int32_t token = -1;
  std::string text;
};

std::vector<Word> Words(const Engine& engine, size_t n) {
  std::vector<Word> out;
  for (int32_t token = 3; token < 120 && out.size() < n; ++token) {
    const Result<std::string> text = engine.Detokenize(std::vector<int32_t>{token}, true);
    if (!text.ok() || text->empty() || text->front() <= ' ') continue;
    const Result<std::vector<int32_t>> ids = engine.Tokenize(*text, false);
    if (ids.ok() && *ids == std::vector<int32_t>{token}) out.push_back({token, *text});
  }
  EXPECT_EQ(out.size(), n);
  return out;
}

TEST(ConstraintsTest, ThatLeaveNoFirstTokenAreRefusedByName) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Word word = Words(*engine, 1)[0];
  Client client(*engine);
  for (const int n : {1, 2}) {
    for (const int stream : {0, 1}) {
      Asked request = Asked(Prompt(1, 8), 3).Int("n", n).Int("stream", stream);
      request.Add("bad_words", word.text).Add("allowed_token_ids", word.token);
      const Status status = client.Start(0, request);
      EXPECT_EQ(status.code(), Code::kInvalidArgument);
      EXPECT_THAT(status.message(), HasSubstr("allowed_token_ids and bad_words together leave no"));
    }
  }
}

TEST(ConstraintsTest, ThatLeaveNoLaterTokenEndTheirRequestAndNoOther) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const std::vector<Word> words = Words(*engine, 2);
  const Asked other = Asked(Prompt(2, 12), 60);
  const Answer alone = Ask(*engine, other);
  Client client(*engine);
  ASSERT_TRUE(client.Start(0, other).ok());
  for (int key = 1; key < 9; ++key) {
    Asked request = Asked(Prompt(1, 8), 6);
    request.Add("allowed_token_ids", words[0].token).Add("allowed_token_ids", words[1].token);
    for (const Word& a : words) {
      for (const Word& b : words) request.Add("bad_words", a.text + b.text);
    }
    if (key % 2 == 0) request.Draws(key);
    if (key % 4 == 1) request.Int("n", 2);
    if (key % 4 == 3) request.Int("n", 2).Int("beam_width", 2).Float("temperature", 0);
    ASSERT_TRUE(client.Start(key, request.Int("stream", key % 3 == 0)).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  EXPECT_EQ(answers[0][0].tokens, alone[0].tokens);
  for (int key = 1; key < 9; ++key) {
    SCOPED_TRACE(key);
    EXPECT_EQ(answers[key].num_last, 1);
    EXPECT_EQ(answers[key].status.code(), Code::kInvalidArgument);
    EXPECT_THAT(answers[key].status.message(),
                AllOf(HasSubstr("allowed_token_ids and bad_words"), HasSubstr("as token 2")));
    for (const auto& [index, text] : answers[key].texts) EXPECT_EQ(text.reason, "error");
  }
  EXPECT_TRUE(ComesToRest(*engine));
  EXPECT_EQ(Ask(*engine, other)[0].tokens, alone[0].tokens);
}

TEST(ConstraintsTest, MinTokensIsAtMostMaxTokens) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  const Status status = client.Start(0, Asked(Prompt(1, 8), 3).Int("min_tokens", 4));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("min_tokens is 4, expected at most max_tokens"));
}

TEST(ConstraintsTest, StopStringsWaitForMinTokens) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer whole = Ask(*engine, Asked(Prompt(6, 9), 40));
  Asked request = Asked(Prompt(6, 9), 40).Int("min_tokens", 10);
  std::set<char> letters(whole[0].text.begin(), whole[0].text.end());
  for (const char c : letters) {
    if (c > ' ') request.Add("stop", std::string(1, c));
  }
  const Answer answer = Ask(*engine, request);
  EXPECT_GE(answer[0].tokens.size(), 10u);
  EXPECT_LT(answer[0].tokens.size(), 40u);
  EXPECT_EQ(answer[0].reason, "stop");
}

TEST(ConstraintsTest, TheTextOfAStopTokenStaysWhenAsked) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer whole = Ask(*engine, Asked(Prompt(6, 9), 12));
  const std::vector<int32_t>& tokens = whole[0].tokens;
  for (const int include : {0, 1}) {
    const Answer answer = Ask(*engine, Asked(Prompt(6, 9), 12)
                                           .Add("stop_token_ids", tokens[5])
                                           .Int("include_stop_str_in_output", include));
    const std::vector<int32_t>& found = answer[0].tokens;
    const std::vector<int32_t> shown(found.begin(), found.end() - (include == 0 ? 1 : 0));
    EXPECT_EQ(found.back(), tokens[5]);
    EXPECT_EQ(answer[0].text, engine->Detokenize(shown, true).value());
  }
}

TEST(ConstraintsTest, WithoutTokensToGenerateThePromptIsScoredAndNothingIsSaid) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer scored = Ask(*engine, Asked(Prompt(1, 20), 1).Int("prompt_logprobs", 0));
  const Answer answer = Ask(*engine, Asked(Prompt(1, 20), 0).Int("prompt_logprobs", 0).Int("n", 2));
  ASSERT_EQ(answer.texts.size(), 2u);
  for (const auto& [index, text] : answer.texts) {
    EXPECT_TRUE(text.tokens.empty());
    EXPECT_EQ(text.reason, "length");
    EXPECT_EQ(text.prompt_logprobs, scored[0].prompt_logprobs);
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

}  // namespace
}  // namespace keel
