#include "apps/wire/openai/completions.h"

#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/testing/mutate.h"
#include "apps/wire/call_fixture.h"
#include "apps/wire/openai/error.h"
#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

// The fake engine answers with the prompt.
class CompletionsTest : public CallFixture {
 protected:
  CompletionsTest() : CallFixture(ParseCompletions) {}

  // The texts of the choices.
  std::vector<std::string> Texts(const std::string& body) {
    const json::value response = Run(body);
    std::vector<std::string> texts;
    for (const json::value& choice : response.at("choices").as_array()) {
      EXPECT_EQ(choice.at("index"), texts.size());
      texts.emplace_back(choice.at("text").as_string());
    }
    return texts;
  }
};

using Strings = std::vector<std::string>;

TEST_F(CompletionsTest, PartsOfACharacterAreToldApartAndCountOnce) {
  const json::value body =
      Run(R"({"prompt":"\ud83d\ude00!","echo":true,"logprobs":1,"max_tokens":0})");
  const json::value& logprobs = body.at("choices").at(0).at("logprobs");
  EXPECT_EQ(logprobs.at("tokens"),
            json::parse(R"(["bytes:\\xf0","bytes:\\x9f","bytes:\\x98","bytes:\\x80","!"])"));
  EXPECT_EQ(logprobs.at("text_offset"), json::parse("[0,1,1,1,1]"));
}

TEST_F(CompletionsTest, TheResponseHasOpenAisShape) {
  const json::value body = Run(R"({"prompt":"hi"})");
  EXPECT_EQ(body.at("id"), "cmpl-id");
  EXPECT_EQ(body.at("object"), "text_completion");
  EXPECT_EQ(body.at("choices"), json::parse(R"([{"index":0,"text":"hi","logprobs":null,
      "finish_reason":"stop","stop_reason":null}])"));
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 2);
}

TEST_F(CompletionsTest, AllFormsOfPrompts) {
  EXPECT_EQ(Texts(R"({"prompt":"hi"})"), (Strings{"hi"}));
  EXPECT_EQ(Texts(R"({"prompt":["a","b"]})"), (Strings{"a", "b"}));
  EXPECT_EQ(Texts(R"({"prompt":[104,105]})"), (Strings{"hi"}));
  EXPECT_EQ(Texts(R"({"prompt":[[97],[98,99]]})"), (Strings{"a", "bc"}));
  // The n sequences of a prompt stand together.
  EXPECT_EQ(Texts(R"({"prompt":["ab","cd"],"n":2})"), (Strings{"ab", "b", "cd", "d"}));
}

TEST_F(CompletionsTest, SixteenTokensUnlessAskedOtherwise) {
  EXPECT_EQ(Texts(R"({"prompt":"0123456789abcdefghij"})"), (Strings{"0123456789abcdef"}));
  EXPECT_EQ(Texts(R"({"prompt":"0123456789","max_tokens":3})"), (Strings{"012"}));
}

TEST_F(CompletionsTest, EchoPutsThePromptBefore) {
  EXPECT_EQ(Texts(R"({"prompt":"hi ","echo":true})"), (Strings{"hi hi "}));
  const json::value body = Run(R"({"prompt":"hi","echo":true,"max_tokens":0,"logprobs":1})");
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 0);
  const json::value& scored = body.at("choices").at(0);
  EXPECT_EQ(scored.at("text"), "hi");
  const json::value& logprobs = scored.at("logprobs");
  EXPECT_EQ(logprobs.at("tokens"), json::parse(R"(["h","i"])"));
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs.at("token_logprobs").at(1), -0.5);
  EXPECT_EQ(logprobs.at("text_offset"), json::parse("[0,1]"));
}

TEST_F(CompletionsTest, LogprobsOfThePromptStandInEachChoice) {
  const json::value body = Run(R"({"prompt":"ab","prompt_logprobs":2,"n":2})");
  for (const json::value& choice : body.at("choices").as_array()) {
    EXPECT_EQ(choice.at("prompt_logprobs"), json::parse(R"([null,
        {"98":{"logprob":-0.5,"rank":1,"decoded_token":"b"},
         "99":{"logprob":-1.5,"rank":2,"decoded_token":"c"}}])"));
  }
}

TEST_F(CompletionsTest, TokensAreNamedByIdWhenAskedFor) {
  const json::value body =
      Run(R"({"prompt":"a","logprobs":0,"return_tokens_as_token_ids":true,"max_tokens":1})");
  EXPECT_EQ(body.at("choices").at(0).at("logprobs").at("tokens"),
            json::parse(R"(["token_id:97"])"));
}

TEST_F(CompletionsTest, PromptsTimesAnswersAreCounted) {
  limits_.max_sequences = 6;
  EXPECT_EQ(ErrorOf(R"({"prompt":["a","b"],"n":3})").message, "no error");
  EXPECT_EQ(ErrorOf(R"({"prompt":["a","b"],"best_of":4})").field, "prompt");
  EXPECT_THAT(ErrorOf(R"({"prompt":["a","b","c"],"n":3})").message,
              HasSubstr("3 prompts with 3 answers each are more than the 6 sequences"));
}

// A million alternatives of tokens are tens of megabytes.
TEST_F(CompletionsTest, TheSizeOfAnAnswerIsBounded) {
  limits_.max_logprobs = -1;
  Call call;
  std::string body = R"({"prompt":")";
  body.append(200, 'a').append(R"(","max_tokens":200,"logprobs":10000})");
  ASSERT_FALSE(Parse(body, &call).has_value());
  const auto events = StreamCall(engine_, std::move(call));
  ASSERT_GE(events.size(), 2U);
  EXPECT_THAT(std::string(events[events.size() - 2].at("error").at("message").as_string()),
              HasSubstr("more than 1000000 log-probabilities"));
}

TEST_F(CompletionsTest, ChunksHaveTheSameName) {
  Call call;
  ASSERT_FALSE(Parse(R"({"prompt":"hi","stream":true})", &call).has_value());
  const auto chunks = StreamCall(engine_, std::move(call));
  ASSERT_EQ(chunks.size(), 4U);
  EXPECT_EQ(chunks[0].at("object"), "text_completion");
  EXPECT_EQ(chunks[0].at("choices").at(0).at("text"), "h");
  EXPECT_TRUE(chunks[0].at("choices").at(0).at("finish_reason").is_null());
  EXPECT_EQ(chunks[2].at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(chunks[3], "[DONE]");
}

TEST_F(CompletionsTest, AWrongFieldIsNamed) {
  const struct {
    const char *body, *param, *message;
    int http_status;
  } kBad[] = {
      {R"({})", "prompt", "prompt is missing", 400},
      {R"({"prompt":5})", "prompt", "prompt is 5 (a number), expected a string", 400},
      {R"({"prompt":[]})", "prompt", "prompt is a list of 0", 400},
      {R"({"prompt":["a",5]})", "prompt[1]", "expected a string or a list of token ids", 400},
      {R"({"prompt":[["a"]]})", "prompt[0]", "expected a string or a list of token ids", 400},
      {R"({"prompt":[1,"a"]})", "prompt", "expected a list of token ids", 400},
      {R"({"prompt":[9999]})", "prompt", "token 9999 is not in 0..257", 400},
      {R"({"prompt":"a","logprobs":"x"})", "logprobs", "expected a whole number", 400},
      {R"({"prompt":"a","suffix":"x"})", "suffix", "not served", 400},
      {R"({"prompt":"a","use_beam_search":true,"early_stopping":7})", "early_stopping", "never",
       400},
      {R"({"prompt":"a","model":"gpt"})", "model", "this server has 'fake'", 404},
  };
  for (const auto& bad : kBad) {
    const CallError error = ErrorOf(bad.body);
    EXPECT_EQ(error.field, bad.param) << bad.body;
    EXPECT_EQ(HttpStatus(error.code), bad.http_status) << bad.body;
    EXPECT_THAT(error.message, HasSubstr(bad.message)) << bad.body;
  }
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(CompletionsTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good[] = {
      R"({"model":"fake","prompt":["ab","c"],"n":2,"max_tokens":3,"echo":true,"logprobs":2,)"
      R"("temperature":1.0,"stop":["x"],"stop_token_ids":[1,2],"return_token_ids":true})",
      R"({"prompt":[[97,98],[99]],"max_tokens":3,"prompt_logprobs":1,"min_tokens":0,"top_k":5})"};
  for (const std::string& body : good) ASSERT_EQ(ErrorOf(body).message, "no error");
  std::mt19937 random(20262);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
  int refused = 0;
  for (int i = 0; i < 100'000 && std::chrono::steady_clock::now() < end; ++i) {
    const std::string body = Mutate(good[i % 2], random);
    Call call;
    const MaybeError error = Parse(body, &call);
    if (error.has_value()) {
      ++refused;
      ASSERT_FALSE(error->message.empty()) << body;
    } else if (i % 20 == 0 && !call.stream) {
      RunCall(engine_, std::move(call));
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace keel::apps
