#include "apps/wire/openai/responses.h"

#include <string>
#include <utility>
#include <vector>

#include "apps/wire/call_fixture.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The fake engine answers with the last message; of it (...) is reasoning and !name:{...}; a call.
class ResponsesTest : public CallFixture {
 protected:
  ResponsesTest() : CallFixture(ParseResponses) {}

  // Without the ids, which are random.
  static json::value WithoutIds(json::value items) {
    for (json::value& item : items.as_array()) {
      item.as_object().erase("id");
      item.as_object().erase("call_id");
    }
    return items;
  }
};

TEST_F(ResponsesTest, AResponseOfText) {
  json::value body = Run(R"({"input":"hi","instructions":"be brief","max_output_tokens":9,
      "metadata":{"a":"b"}})");
  EXPECT_THAT(std::string(body.at("id").as_string()), StartsWith("resp_"));
  EXPECT_EQ(body.at("object"), "response");
  EXPECT_EQ(body.at("status"), "completed");
  EXPECT_EQ(body.at("model"), "fake");
  EXPECT_EQ(body.at("instructions"), "be brief");
  EXPECT_EQ(body.at("max_output_tokens"), 9);
  EXPECT_EQ(body.at("metadata"), json::parse(R"({"a":"b"})"));
  EXPECT_EQ(WithoutIds(body.at("output")), json::parse(R"([{"type":"message",
      "status":"completed","role":"assistant","content":[{"type":"output_text","text":"hi",
      "annotations":[],"logprobs":[]}]}])"));
  EXPECT_EQ(body.at("usage").at("output_tokens"), 3);
  // "system: be brief\nuser: hi\nassistant: "
  EXPECT_EQ(body.at("usage").at("input_tokens"), 37);
}

TEST_F(ResponsesTest, ReasoningAndCallsAreItems) {
  const json::value body = Run(R"({"input":"(hm)ok!f:{};!g:1;",
      "tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]})");
  EXPECT_EQ(WithoutIds(body.at("output")), json::parse(R"([
      {"type":"reasoning","status":"completed","summary":[],
       "content":[{"type":"reasoning_text","text":"hm"}]},
      {"type":"message","status":"completed","role":"assistant","content":[
          {"type":"output_text","text":"ok","annotations":[],"logprobs":[]}]},
      {"type":"function_call","status":"completed","name":"f","arguments":"{}"},
      {"type":"function_call","status":"completed","name":"g","arguments":"1"}])"));
}

TEST_F(ResponsesTest, WhatWasCutIsIncomplete) {
  const json::value body = Run(R"({"input":"abc","max_output_tokens":1})");
  EXPECT_EQ(body.at("status"), "incomplete");
  EXPECT_EQ(body.at("incomplete_details").at("reason"), "max_output_tokens");
}

TEST_F(ResponsesTest, AConversationGoesOnByTheIdOfItsLastResponse) {
  const json::value first = Run(R"({"input":"abcd","instructions":"not kept"})");
  const auto next = [&](const std::string& fields) {
    return R"({"input":"e","previous_response_id":")" + std::string(first.at("id").as_string()) +
           "\"" + fields + "}";
  };
  // "user: abcd\nassistant: abcd\nuser: e\nassistant: "
  const json::value second = Run(next(""));
  EXPECT_EQ(second.at("usage").at("input_tokens"), 46);
  EXPECT_EQ(second.at("previous_response_id"), first.at("id"));
  const json::value unkept = Run(R"({"input":"a","store":false})");
  const CallError error = ErrorOf(R"({"input":"e","previous_response_id":")" +
                                  std::string(unkept.at("id").as_string()) + "\"}");
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("send the whole conversation"));
}

TEST_F(ResponsesTest, CallsAndTheirResultsAreWhatTemplatesTake) {
  // The fake engine's prompt has a line a message: two of the user, the assistant's, the tool's.
  const json::value body = Run(R"({"input":[
      {"role":"user","content":[{"type":"input_text","text":"a"}]},
      {"type":"reasoning","summary":[]},
      {"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":1}"},
      {"type":"function_call_output","call_id":"c","output":"sun"}]})");
  EXPECT_EQ(body.at("output").at(0).at("content").at(0).at("text"), "sun");
  // "user: a\nassistant: \ntool: sun\nassistant: "
  EXPECT_EQ(body.at("usage").at("input_tokens"), 41);
}

TEST_F(ResponsesTest, AStreamSaysHowEachItemBeginsGrowsAndEnds) {
  const auto events = Stream(R"({"input":"(h)y!f:1;","stream":true})");
  std::vector<std::string> types;
  for (size_t i = 0; i < events.size(); ++i) {
    types.emplace_back(events[i].at("type").as_string());
    EXPECT_EQ(events[i].at("sequence_number"), i);
  }
  EXPECT_THAT(types,
              ElementsAre("response.created", "response.in_progress",  //
                          "response.output_item.added", "response.reasoning_text.delta",
                          "response.reasoning_text.done", "response.output_item.done",  //
                          "response.output_item.added", "response.content_part.added",
                          "response.output_text.delta", "response.output_text.done",
                          "response.content_part.done", "response.output_item.done",  //
                          "response.output_item.added", "response.function_call_arguments.delta",
                          "response.function_call_arguments.done", "response.output_item.done",
                          "response.completed"));
  EXPECT_EQ(events[8].at("delta"), "y");
  EXPECT_EQ(events[8].at("output_index"), 1);
  EXPECT_EQ(events[8].at("item_id"), events[6].at("item").at("id"));
  EXPECT_EQ(events[14].at("arguments"), "1");
  EXPECT_EQ(events.back().at("response").at("output").as_array().size(), 3U);
  EXPECT_EQ(events.back().at("response").at("id"), events[0].at("response").at("id"));
}

TEST_F(ResponsesTest, WhatFailsIsSaidByTheLastEvent) {
  const auto events = Stream(R"({"input":"[fail] x","stream":true})");
  EXPECT_EQ(events.back().at("type"), "response.failed");
  EXPECT_EQ(events.back().at("response").at("error").at("message"), "the step failed");
}

TEST_F(ResponsesTest, ImagesComeWithTheConversationThatGoesOn) {
  const auto text = [](const json::value& body) {
    return std::string(body.at("output").at(0).at("content").at(0).at("text").as_string());
  };
  const json::value first = Run(R"({"input":[{"role":"user","content":[
      {"type":"input_text","text":"a"},{"type":"input_image","image_url":"https://a/b"}]}]})");
  EXPECT_EQ(text(first), "a\n<image>\nimage https://a/b at input[0].content[1]");
  const json::value next =
      Run(R"({"previous_response_id":")" + std::string(first.at("id").as_string()) + R"(","input":[
      {"role":"user","content":[{"type":"input_image","image_url":"data:,"}]}]})");
  EXPECT_EQ(text(next),
            "<image>\nimage https://a/b at previous_response_id\n"
            "image data:, at input[0].content[0]");
}

TEST_F(ResponsesTest, RefusalsNameTheField) {
  const auto message = [&](const std::string& fields) {
    return ErrorOf("{" + fields + "}").message;
  };
  EXPECT_THAT(message(""), HasSubstr("input is missing"));
  EXPECT_THAT(message(R"("input":[])"), HasSubstr("input is a list of 0"));
  EXPECT_THAT(message(R"("input":[5])"), HasSubstr("input[0] is 5 (a number)"));
  EXPECT_THAT(message(R"("input":[{"role":"user"}])"), HasSubstr("input[0].content is missing"));
  EXPECT_THAT(message(R"("input":[{"role":"cat","content":"x"}])"), HasSubstr("role is 'cat'"));
  EXPECT_THAT(message(R"("input":[{"role":"user","content":[{"type":"input_image"}]}])"),
              HasSubstr("input[0].content[0] has no image_url"));
  EXPECT_THAT(message(R"("input":[{"role":"user","content":[{"type":"input_image",
                          "file_id":"x"}]}])"),
              HasSubstr("input[0].content[0] is a file_id; files are not kept"));
  EXPECT_THAT(message(R"("input":[{"role":"user","content":[{"type":"input_file"}]}])"),
              HasSubstr("input[0].content[0]: parts of type 'input_file'"));
  EXPECT_THAT(message(R"("input":[{"type":"item_reference","id":"x"}])"),
              HasSubstr("input[0]: items of type 'item_reference' are not served"));
  EXPECT_THAT(message(R"("input":"x","tools":[{"type":"web_search"}])"),
              HasSubstr("tools[0] is of type \"web_search\""));
  EXPECT_THAT(message(R"("input":"x","max_tokens":1)"), HasSubstr("use max_output_tokens"));
  EXPECT_THAT(message(R"("input":"x","background":true)"), HasSubstr("not served"));
  EXPECT_THAT(message(R"("input":"x","instruction":"y")"), HasSubstr("did you mean"));
  EXPECT_THAT(message(R"("input":"x","text":{"format":{"type":"xml"}})"), HasSubstr("'xml'"));
  EXPECT_THAT(message(R"("input":"x","previous_response_id":"resp_x")"), HasSubstr("no response"));
  EXPECT_EQ(message(R"("input":"x","user":"u","reasoning":{"effort":"low"},"unheard_of":1)"),
            "no error");
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(ResponsesTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good =
      R"({"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":)"
      R"("function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output",)"
      R"("call_id":"c","output":"d"}],"tools":[{"type":"function","name":"f","parameters":{}}],)"
      R"("tool_choice":"auto","max_output_tokens":4,"temperature":0.5,"stream":false,"store":false,)"
      R"("text":{"format":{"type":"text"}},"instructions":"i"})";
  ExpectDamageHarmsNothing(good);
}

}  // namespace
}  // namespace keel::apps
