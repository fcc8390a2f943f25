#include "apps/wire/openai/tool_calls.h"

#include <string>

#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

// The message of the error, or "".
std::string Read(const std::string& calls, json::object* message) {
  *message = json::parse(R"({"role": "assistant", "tool_calls": )" + calls + "}").as_object();
  const json::object unused;
  Fields fields(unused);
  ReadToolCalls(fields, "messages[1].", message);
  return fields.ok() ? "" : fields.error()->message;
}

TEST(ToolCallsTest, ArgumentsBecomeAnObject) {
  json::object message;
  EXPECT_EQ(Read(R"([{"id": "a", "type": "function",
                      "function": {"name": "f", "arguments": "{\"x\": 1}"}}])",
                 &message),
            "");
  EXPECT_EQ(message["tool_calls"].at(0).at("function").at("arguments"), json::parse(R"({"x": 1})"));
  EXPECT_EQ(Read(R"([{"function": {"name": "f", "arguments": "not json"}}])", &message), "");
  EXPECT_EQ(message["tool_calls"].at(0).at("function").at("arguments"), "not json");
  EXPECT_EQ(Read("null", &message), "");
}

TEST(ToolCallsTest, WhatIsOfAWrongTypeIsNamed) {
  json::object message;
  EXPECT_EQ(Read("5", &message), "messages[1].tool_calls is 5 (a number), expected a list");
  EXPECT_EQ(Read(R"(["x"])", &message),
            "messages[1].tool_calls[0] is \"x\" (a string), expected an object with id, type and "
            "function");
  EXPECT_EQ(Read(R"([{"id": 7, "function": {"name": "f"}}])", &message),
            "messages[1].tool_calls[0].id is 7 (a number), expected a string");
  EXPECT_EQ(Read(R"([{"id": "a"}])", &message),
            "messages[1].tool_calls[0].function is null, expected an object with name and "
            "arguments");
  EXPECT_EQ(Read(R"([{"function": {"name": "f", "arguments": 5}}])", &message),
            "messages[1].tool_calls[0].function.arguments is 5 (a number), expected a JSON object "
            "as a string");
}

}  // namespace
}  // namespace keel::apps
