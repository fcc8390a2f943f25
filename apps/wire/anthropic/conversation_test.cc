#include "apps/wire/anthropic/conversation.h"

#include <string>

#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

// What a template gets, or the error's message.
json::value Read(const std::string& body) {
  const json::value parsed = json::parse(body);
  Fields fields(parsed.get_object());
  const json::array messages = ReadConversation(fields);
  if (!fields.ok()) return json::value(fields.error()->message);
  return messages;
}

std::string ErrorOf(const std::string& messages) {
  return std::string(Read(R"({"messages":)" + messages + "}").as_string());
}

TEST(ConversationTest, TextsStayTexts) {
  EXPECT_EQ(Read(R"({"system":"be brief","messages":[{"role":"user","content":"hi"}]})"),
            json::parse(R"([{"role":"system","content":"be brief"},
                            {"role":"user","content":"hi"}])"));
  EXPECT_EQ(Read(R"({"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],
                     "messages":[{"role":"user","content":[{"type":"text","text":"b"},
                                                           {"type":"text","text":"c"}]}]})"),
            json::parse(R"([{"role":"system","content":"a"},{"role":"user","content":
                [{"type":"text","text":"b"},{"type":"text","text":"c"}]}])"));
}

TEST(ConversationTest, CallsAndTheirResultsAreWhatTemplatesTake) {
  EXPECT_EQ(Read(R"({"messages":[
      {"role":"assistant","content":[
          {"type":"thinking","thinking":"hm","signature":"x"},
          {"type":"text","text":"let me see"},
          {"type":"tool_use","id":"t1","name":"weather","input":{"city":"Rome"}}]},
      {"role":"user","content":[
          {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"sun"}]},
          {"type":"text","text":"so?"}]}]})"),
            json::parse(R"([
      {"role":"assistant","content":"let me see",
       "tool_calls":[{"id":"t1","type":"function",
                      "function":{"name":"weather","arguments":{"city":"Rome"}}}],
       "reasoning_content":"hm"},
      {"role":"tool","tool_call_id":"t1","content":"sun"},
      {"role":"user","content":"so?"}])"));
}

TEST(ConversationTest, ImagesStayAtTheirPlaces) {
  EXPECT_EQ(Read(R"({"messages":[{"role":"user","content":[
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},
      {"type":"text","text":"and"},
      {"type":"tool_result","tool_use_id":"t1","content":[
          {"type":"image","source":{"type":"url","url":"https://a/b"}}]}]}]})"),
            json::parse(R"([
      {"role":"tool","tool_call_id":"t1","content":[
          {"type":"image","url":"https://a/b","place":"messages[0].content[2].content[0]"}]},
      {"role":"user","content":[
          {"type":"image","url":"data:;base64,QUJD","place":"messages[0].content[0]"},
          {"type":"text","text":"and"}]}])"));
}

TEST(ConversationTest, AMessageOfResultsAloneIsNoMessageOfTheUser) {
  const json::value messages = Read(R"({"messages":[{"role":"user","content":[
      {"type":"tool_result","tool_use_id":"t1","content":"sun"},
      {"type":"tool_result","tool_use_id":"t2"}]}]})");
  ASSERT_EQ(messages.as_array().size(), 2U);
  EXPECT_EQ(messages.at(1), json::parse(R"({"role":"tool","tool_call_id":"t2","content":""})"));
}

TEST(ConversationTest, RefusalsNameTheBlock) {
  EXPECT_THAT(ErrorOf("null"), HasSubstr("messages is missing"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("messages is empty"));
  EXPECT_THAT(ErrorOf("[5]"), HasSubstr("messages[0] is 5 (a number)"));
  EXPECT_THAT(ErrorOf(R"([{"content":"x"}])"), HasSubstr("messages[0].role is missing"));
  EXPECT_THAT(ErrorOf(R"([{"role":"system","content":"x"}])"), HasSubstr("user or assistant"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user"}])"), HasSubstr("messages[0].content is missing"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":5}])"), HasSubstr("a list of blocks"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"text":"x"}]}])"),
              HasSubstr("messages[0].content[0].type is missing"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"type":"image","source":{}}]}])"),
              HasSubstr("messages[0].content[0].source.type is missing"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[
                  {"type":"image","source":{"type":"file","file_id":"x"}}]}])"),
              HasSubstr("messages[0].content[0]: images from a source of type 'file' are not"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"type":"document"}]}])"),
              HasSubstr("messages[0].content[0]: blocks of type 'document' are not served yet"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"type":"tool_use","id":"a","name":"b"}]}])"),
              HasSubstr("blocks of type 'tool_use' are not served yet in a message of role user"));
  EXPECT_THAT(ErrorOf(R"([{"role":"assistant","content":[{"type":"tool_use","id":"a"}]}])"),
              HasSubstr("messages[0].content[0].name is missing"));
}

}  // namespace
}  // namespace keel::apps
