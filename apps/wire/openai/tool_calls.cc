#include "apps/wire/openai/tool_calls.h"

#include <utility>

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
