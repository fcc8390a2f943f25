#include "apps/wire/openai/tool_calls.h"

#include <utility>

#include "apps/wire/request_fields.h"
#include "boost/json/parse.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

void ReadToolCall(Fields& fields, const std::string& path, json::value& call) {
  json::object* object = call.if_object();
  if (object == nullptr) {
    return fields.FailType(path, call, "an object with id, type and function");
  }
  const auto check_text = [&](const json::object& of, const std::string& at, const char* name) {
    const json::value* value = of.if_contains(name);
    if (value != nullptr && !value->is_null() && !value->is_string()) {
      fields.FailType(at + "." + name, *value, "a string");
    }
  };
  check_text(*object, path, "id");
  check_text(*object, path, "type");
  json::value* function = object->if_contains("function");
  if (function == nullptr || !function->is_object()) {
    return fields.FailType(path + ".function", function == nullptr ? json::value() : *function,
                           "an object with name and arguments");
  }
  json::object& inner = function->get_object();
  if (!inner.contains("name")) {
    return fields.FailType(path + ".function.name", nullptr, "a string");
  }
  check_text(inner, path + ".function", "name");
  json::value* arguments = inner.if_contains("arguments");
  if (arguments == nullptr || arguments->is_null() || arguments->is_object()) return;
  if (!arguments->is_string()) {
    return fields.FailType(path + ".function.arguments", *arguments, "a JSON object as a string");
  }
  boost::system::error_code error;
  json::value parsed = json::parse(arguments->get_string(), error);
  if (!error && parsed.is_object()) *arguments = std::move(parsed);
}

}  // namespace

ToolChoice ReadToolChoice(Fields& fields) {
  const json::value* choice = fields.Find("tool_choice");
  if (choice == nullptr) return {};
  if (const json::object* object = choice->if_object()) {
    const json::value* function = object->if_contains("function");
    const json::object* named = function == nullptr ? object : function->if_object();
    const json::value* name = named == nullptr ? nullptr : named->if_contains("name");
    if (name != nullptr && name->is_string() && !name->get_string().empty())
      return {ToolChoice::Kind::kNamed, std::string(name->get_string())};
  } else if (choice->is_string()) {
    if (choice->get_string() == "auto") return {};
    if (choice->get_string() == "none") return {ToolChoice::Kind::kNone};
    if (choice->get_string() == "required") return {ToolChoice::Kind::kRequired};
  }
  fields.FailType("tool_choice", *choice,
                  "auto, none, required or {\"type\": \"function\", \"function\": {\"name\": "
                  "...}}");
  return {};
}

ToolChoice ReadTools(Fields& fields, Request& request) {
  const json::array* tools = fields.Array("tools");
  if (tools != nullptr && tools->empty())
    fields.Fail(InvalidField("tools", "tools is empty; leave it out, or name a tool"));
  const ToolChoice choice = ReadToolChoice(fields);
  SetTools(fields, tools == nullptr ? json::array() : *tools, choice, request);
  if (const auto parallel = fields.Bool("parallel_tool_calls"))
    SetInt(fields, request, "parallel_tool_calls", "parallel_tool_calls", *parallel ? 1 : 0);
  return choice;
}

void ReadToolCalls(Fields& fields, const std::string& path, json::object* message) {
  json::value* calls = message->if_contains("tool_calls");
  if (calls == nullptr || calls->is_null()) return;
  if (!calls->is_array()) return fields.FailType(path + "tool_calls", *calls, "a list");
  json::array& list = calls->get_array();
  for (size_t i = 0; i < list.size() && fields.ok(); ++i) {
    ReadToolCall(fields, path + "tool_calls[" + std::to_string(i) + "]", list[i]);
  }
}

}  // namespace keel::apps
