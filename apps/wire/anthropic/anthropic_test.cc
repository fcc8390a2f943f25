#include "apps/wire/anthropic/anthropic.h"

#include <string>
#include <utility>
#include <vector>

#include "apps/wire/anthropic/error.h"
#include "apps/wire/anthropic/messages.h"
#include "apps/wire/call_fixture.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

// The fake engine answers with the last message.
class MessagesTest : public CallFixture {
 protected:
  MessagesTest() : CallFixture(ParseMessages) {}

  static std::string Body(const std::string& fields = "", const std::string& content = "hi") {
    return R"({"max_tokens":64,"messages":[{"role":"user","content":")" + content + R"("}])" +
           (fields.empty() ? "" : "," + fields) + "}";
  }
};
class CountTokensTest : public CallFixture {
 protected:
  CountTokensTest() : CallFixture(ParseCountTokens) {}
};

TEST_F(MessagesTest, AMessageOfText) {
  EXPECT_EQ(Run(Body(R"("model":"fake")")), json::parse(R"({"id":"msg_id","type":"message",
      "role":"assistant","model":"fake","content":[{"type":"text","text":"hi"}],
      "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":20,
      "cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}})"));
}

TEST_F(MessagesTest, WhatEndedItIsSaid) {
  const auto ending = [&](const std::string& fields) {
    const json::value body = Run(Body(fields, "abcd"));
    return std::string(body.at("stop_reason").as_string()) + " " +
           (body.at("stop_sequence").is_null() ? "-"
                                               : std::string(body.at("stop_sequence").as_string()));
  };
  EXPECT_EQ(ending(""), "end_turn -");
  EXPECT_EQ(ending(R"("stop_sequences":["cd"])"), "stop_sequence cd");
  EXPECT_EQ(
      Run(R"({"max_tokens":1,"messages":[{"role":"user","content":"abc"}]})").at("stop_reason"),
      "max_tokens");
}

TEST_F(MessagesTest, AStreamIsTheProtocolsEvents) {
  const auto events = Stream(Body(R"("stream":true)"));
  std::vector<std::string> types;
  for (const json::value& event : events) types.emplace_back(event.at("type").as_string());
  EXPECT_EQ(types,
            (std::vector<std::string>{"message_start", "ping", "content_block_start",
                                      "content_block_delta", "content_block_delta",
                                      "content_block_stop", "message_delta", "message_stop"}));
  EXPECT_EQ(events[0].at("message").at("content"), json::array());
  EXPECT_EQ(events[2], json::parse(R"({"type":"content_block_start","index":0,
      "content_block":{"type":"text","text":""}})"));
  EXPECT_EQ(events[3], json::parse(R"({"type":"content_block_delta","index":0,
      "delta":{"type":"text_delta","text":"h"}})"));
  EXPECT_EQ(events[6].at("delta"),
            json::parse(R"({"stop_reason":"end_turn","stop_sequence":null})"));
  EXPECT_EQ(events[6].at("usage").at("output_tokens"), 3);
}

// The fake engine takes (...) for reasoning and !name:{...}; for a call.
TEST_F(MessagesTest, ReasoningAndCallsAreBlocks) {
  json::value body = Run(Body("", "(hm)ok!f:{\\\"a\\\":1};!g:no;"));
  EXPECT_EQ(body.at("stop_reason"), "tool_use");
  for (json::value& block : body.at("content").as_array()) block.as_object().erase("id");
  EXPECT_EQ(body.at("content"), json::parse(R"([
      {"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"ok"},
      {"type":"tool_use","name":"f","input":{"a":1}},
      {"type":"tool_use","name":"g","input":{"arguments":"no"}}])"));
}

TEST_F(MessagesTest, EachBlockOfAStreamBeginsAndEnds) {
  std::string seen;
  for (const json::value& event : Stream(Body(R"("stream":true)", "(h)y!f:{};"))) {
    const auto& type = event.at("type").as_string();
    if (type == "content_block_start")
      seen += "<" + std::string(event.at("content_block").at("type").as_string()) + " ";
    if (type == "content_block_delta")
      seen += std::string(event.at("delta").at("type").as_string()) + " ";
    if (type == "content_block_stop") seen += std::to_string(event.at("index").as_int64()) + "> ";
    if (type == "message_delta")
      seen += std::string(event.at("delta").at("stop_reason").as_string());
  }
  EXPECT_EQ(seen,
            "<thinking thinking_delta 0> <text text_delta 1> <tool_use input_json_delta "
            "input_json_delta 2> tool_use");
}

TEST_F(MessagesTest, WhatFailsIsAnErrorEventAndTheEnd) {
  const auto events = Stream(Body(R"("stream":true)", "[fail] x"));
  EXPECT_EQ(events.back(), json::parse(R"({"type":"error","error":{"type":"api_error",
      "message":"the step failed"}})"));
}

TEST_F(MessagesTest, RefusalsNameTheField) {
  const auto message = [&](const std::string& fields) { return ErrorOf(Body(fields)).message; };
  EXPECT_THAT(ErrorOf(R"({"messages":[{"role":"user","content":"x"}]})").message,
              HasSubstr("max_tokens is missing, expected at least 1"));
  EXPECT_THAT(message(R"("temperature":"hot")"), HasSubstr("temperature is \"hot\""));
  EXPECT_THAT(message(R"("max_token":1)"), HasSubstr("did you mean 'max_tokens'?"));
  EXPECT_THAT(message(R"("stop":["x"])"), HasSubstr("use stop_sequences"));
  EXPECT_THAT(message(R"("mcp_servers":[])"), HasSubstr("MCP servers are not served"));
  EXPECT_THAT(message(R"("thinking":{"type":"maybe"})"), HasSubstr("expected enabled, adaptive"));
  EXPECT_THAT(message(R"("thinking":{"type":"enabled","budget_tokens":-7})"), HasSubstr("is -7"));
  EXPECT_THAT(message(R"("tool_choice":{"type":"any"})"), HasSubstr("tools is missing"));
  EXPECT_THAT(message(R"("tool_choice":{"type":"some"})"), HasSubstr("expected auto, any, tool"));
  EXPECT_THAT(message(R"("tools":[{"name":"f"}])"), HasSubstr("tools[0] has no input_schema"));
  EXPECT_THAT(message(R"("tools":[{"type":"web_search_20250305","name":"f"}])"),
              HasSubstr("tools[0] is a tool of the server"));
  EXPECT_EQ(message(R"("metadata":{"user_id":"u"},"unheard_of":1,"thinking":{"type":"disabled"})"),
            "no error");
}

TEST_F(CountTokensTest, CountsThePromptWithoutRunningIt) {
  EXPECT_EQ(Run(R"({"messages":[{"role":"user","content":"hi"}]})"),
            json::parse(R"({"input_tokens":20})"));
  EXPECT_THAT(ErrorOf(R"({"messages":[]})").message, HasSubstr("messages is empty"));
}

TEST(AnthropicErrorTest, TypesAndStatusesAreTheProtocolsOwn) {
  const auto error = [](ErrorCode code) {
    const ErrorBody body = AnthropicErrorBody({.code = code, .message = "no"});
    return std::to_string(body.http_status) + " " +
           std::string(json::parse(body.json).at("error").at("type").as_string());
  };
  EXPECT_EQ(error(ErrorCode::kInvalid), "400 invalid_request_error");
  EXPECT_EQ(error(ErrorCode::kNotServed), "400 invalid_request_error");
  EXPECT_EQ(error(ErrorCode::kUnauthorized), "401 authentication_error");
  EXPECT_EQ(error(ErrorCode::kModelNotFound), "404 not_found_error");
  EXPECT_EQ(error(ErrorCode::kBodyTooLarge), "413 request_too_large");
  EXPECT_EQ(error(ErrorCode::kOverloaded), "529 overloaded_error");
  EXPECT_EQ(error(ErrorCode::kInternal), "500 api_error");
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(MessagesTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good =
      R"({"model":"fake","max_tokens":4,"system":[{"type":"text","text":"s"}],"messages":[)"
      R"({"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"b"},)"
      R"({"type":"tool_use","id":"t","name":"f","input":{"x":1}}]},{"role":"user","content":[)"
      R"({"type":"tool_result","tool_use_id":"t","content":"c"},{"type":"text","text":"d"}]}],)"
      R"("stop_sequences":["z"],"temperature":0.5,"top_k":5,"thinking":{"type":"disabled"},)"
      R"("tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"none"}})";
  ExpectDamageHarmsNothing(good);
}

}  // namespace
}  // namespace keel::apps
