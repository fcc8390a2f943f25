#include "apps/batch/batch_line.h"

#include <chrono>
#include <random>
#include <string>

#include "apps/testing/mutate.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

constexpr char kChat[] =
    R"({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",)"
    R"( "body": {"messages": [{"role": "user", "content": "hi"}], "temperature": 0}})";
constexpr char kCompletions[] = R"({"custom_id": "b", "method": "POST", "url": "/v1/completions",)"
                                R"( "body": {"prompt": ["x", "y"], "max_tokens": 5}})";

std::string ReplaceIn(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

class BatchLineTest : public ::testing::Test {
 protected:
  MaybeError Parse(const std::string& line) {
    request_ = {};
    call_ = {};
    if (MaybeError error = ReadBatchRequest(line, 7, &request_)) return error;
    return ParseBatchCall(request_, {"fake"}, engine_, "17", {}, &call_);
  }
  std::string ErrorOf(const std::string& line) {
    const MaybeError error = Parse(line);
    return error.has_value() ? error->message : "no error";
  }

  Engine engine_ = std::move(Engine::Create(Options())).value();
  BatchRequest request_;
  Call call_;
};

TEST_F(BatchLineTest, BothEndpointsAreRead) {
  EXPECT_EQ(ErrorOf(kChat), "no error");
  EXPECT_EQ(request_.custom_id, "a");
  EXPECT_EQ(call_.requests.size(), 1U);
  EXPECT_THAT(call_.answer->Body(), HasSubstr(R"("id":"chatcmpl-17","object":"chat.completion")"));
  EXPECT_EQ(ErrorOf(kCompletions), "no error");
  EXPECT_EQ(call_.requests.size(), 2U);
  EXPECT_THAT(call_.answer->Body(), HasSubstr(R"("id":"cmpl-17","object":"text_completion")"));
}

TEST_F(BatchLineTest, EmbeddingsAreAnEndpointToo) {
  EXPECT_EQ(ErrorOf(R"({"custom_id": "a", "method": "POST", "url": "/v1/embeddings",
                        "body": {"input": ["a", "b"]}})"),
            "no error");
  EXPECT_EQ(call_.requests.size(), 2u);
  EXPECT_EQ(ErrorOf(R"({"input": "a"})"), "no error");
  EXPECT_EQ(call_.requests.size(), 1u);
}

TEST_F(BatchLineTest, ErrorsNameTheField) {
  EXPECT_THAT(ErrorOf("not json"), HasSubstr("the line is no valid JSON"));
  EXPECT_EQ(ErrorOf("[]"), "the line is a list of 0, expected a JSON object");
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "custom_id", "id")), HasSubstr("custom_id is missing"));
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "\"a\"", "5")),
              HasSubstr("custom_id is 5 (a number), expected a string"));
  EXPECT_EQ(ErrorOf(ReplaceIn(kChat, "POST", "GET")), "method is \"GET\", expected \"POST\"");
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "\"method\": \"POST\",", "")),
              HasSubstr("method is missing"));
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "/v1/chat/completions", "/v1/images")),
              HasSubstr("url is \"/v1/images\" (a string), expected \"/v1/chat/completions\""));
  EXPECT_THAT(ErrorOf(R"({"custom_id": "a", "method": "POST", "url": "/v1/completions"})"),
              HasSubstr("body is missing"));
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "\"temperature\": 0", "\"temperature\": \"hot\"")),
              HasSubstr("temperature is \"hot\" (a string), expected a number"));
  EXPECT_THAT(ErrorOf(ReplaceIn(kChat, "\"temperature\": 0", "\"model\": \"other\"")),
              HasSubstr("model 'other' is not served"));
}

TEST_F(BatchLineTest, ABodyAloneIsNamedByItsLine) {
  EXPECT_EQ(ErrorOf(R"({"prompt": "x", "max_tokens": 5})"), "no error");
  EXPECT_EQ(request_.custom_id, "line-7");
  EXPECT_EQ(request_.url, "/v1/completions");
  EXPECT_EQ(ErrorOf(R"({"messages": [{"role": "user", "content": "hi"}]})"), "no error");
  EXPECT_EQ(request_.url, "/v1/chat/completions");
  EXPECT_THAT(ErrorOf(R"({"prompt": "x", "url": "/v1/completions"})"),
              HasSubstr("custom_id is missing"));
  EXPECT_THAT(ErrorOf(R"({"text": "x"})"), HasSubstr("custom_id is missing"));
}

TEST_F(BatchLineTest, StreamsAreRefused) {
  EXPECT_EQ(ErrorOf(ReplaceIn(kChat, "\"temperature\": 0", "\"stream\": true")),
            "stream is true, expected false: a batch has no streams");
  EXPECT_EQ(ErrorOf(ReplaceIn(kChat, "\"temperature\": 0", "\"stream\": false")), "no error");
}

TEST_F(BatchLineTest, TheCustomIdIsKnownBesideAnError) {
  EXPECT_NE(ErrorOf(ReplaceIn(kChat, "POST", "GET")), "no error");
  EXPECT_EQ(request_.custom_id, "a");
}

TEST_F(BatchLineTest, OutputHasOpenAisShape) {
  EXPECT_EQ(AnsweredLine("a\"", "17", R"({"x":1})"),
            R"({"id":"batch_req_17","custom_id":"a\"","response":{"status_code":200,)"
            R"("request_id":"17","body":{"x":1}},"error":null})"
            "\n");
  const auto failed =
      boost::json::parse(FailedLine("line-3", "18", InvalidField("url", "line 3: url is missing")));
  EXPECT_EQ(failed.at("custom_id"), "line-3");
  EXPECT_EQ(failed.at("response").at("status_code"), 400);
  EXPECT_EQ(failed.at("response").at("body").at("error"), failed.at("error"));
  EXPECT_EQ(failed.at("error").at("message"), "line 3: url is missing");
  EXPECT_EQ(failed.at("error").at("param"), "url");
}

TEST_F(BatchLineTest, OutputIsReadBack) {
  const std::string answered = AnsweredLine("a", "17", "{}");
  EXPECT_EQ(ReadOutputLine(answered).kind, OutputKind::kAnswered);
  EXPECT_EQ(ReadOutputLine(answered).custom_id, "a");
  for (const std::string& failed : {FailedLine("b", "18", InvalidField("", "x")),
                                    UnrunLine("b", "18", "batch_expired", "too late")}) {
    EXPECT_EQ(ReadOutputLine(failed).kind, OutputKind::kFailed);
    EXPECT_EQ(ReadOutputLine(failed).custom_id, "b");
  }
  EXPECT_EQ(ReadOutputLine(kChat).kind, OutputKind::kNoOutput);
  EXPECT_EQ(ReadOutputLine("").kind, OutputKind::kNoOutput);
  EXPECT_FALSE(MayBeTorn(kChat));
  for (size_t n = 0; n + 2 < answered.size(); ++n) {
    EXPECT_EQ(ReadOutputLine(answered.substr(0, n)).kind, OutputKind::kNoOutput);
    EXPECT_TRUE(MayBeTorn(answered.substr(0, n)));
  }
}

// Bytes from outside: whatever they are, a line is read or refused in words, and its output is a line
// of JSON.
TEST_F(BatchLineTest, DamagedLinesAreReadOrRefused) {
  std::mt19937 random(20260);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
  int refused = 0;
  for (int i = 0; i < 200'000 && std::chrono::steady_clock::now() < end; ++i) {
    const std::string line = Mutate(i % 2 == 0 ? kChat : kCompletions, random);
    const MaybeError error = Parse(line);
    if (!error.has_value()) continue;
    ++refused;
    EXPECT_FALSE(error->message.empty()) << line;
    const std::string output = FailedLine(request_.custom_id.value_or("line-7"), "1", *error);
    boost::system::error_code bad;
    boost::json::parse(output, bad);
    ASSERT_FALSE(bad) << "input: " << line << "output: " << output;
    ASSERT_EQ(output.find('\n'), output.size() - 1);
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace keel::apps
