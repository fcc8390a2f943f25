#include "apps/wire/anthropic/messages.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "apps/wire/anthropic/answer.h"
#include "apps/wire/anthropic/conversation.h"
#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"
#include "apps/wire/media_parts.h"
#include "apps/wire/request_fields.h"
#include "apps/wire/tools.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr KnownField kFields[] = {
    {"model"},
    {"max_tokens"},
    {"messages"},
    {"system"},
    {"stop_sequences"},
    {"stream"},
    {"temperature"},
    {"top_k"},
    {"top_p"},
    {"tools"},
    {"tool_choice"},
    {"thinking"},
    {"chat_template_kwargs"},
    {"cache_salt"},
    {"priority"},
    {"timeout_ms"},
    RefusedField("container", "containers are not served"),
    RefusedField("mcp_servers", "MCP servers are not served; pass their tools in tools"),
    RefusedField("stop", "use stop_sequences"),
    IgnoredField("metadata"),
    IgnoredField("service_tier"),
    IgnoredField("context_management"),
};

// {"name", "description", "input_schema"} to {"type": "function", "function": {...}}.
json::array ReadToolList(Fields& fields) {
  json::array tools;
  const json::array* list = fields.Array("tools");
  if (list == nullptr) return tools;
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string path = "tools[" + std::to_string(i) + "]";
    const json::object* object = (*list)[i].if_object();
    if (object == nullptr) {
      fields.FailType(path, (*list)[i], "an object with name and input_schema");
      break;
    }
    Fields tool(*object, path + ".");
    const auto type = tool.String("type");
    const auto name = tool.String("name");
    const json::object* schema = tool.Object("input_schema");
    json::object function = {{"name", std::string(name.value_or(""))}};
    if (const auto description = tool.String("description"))
      function["description"] = std::string(*description);
    function["parameters"] = schema == nullptr ? json::object() : *schema;
    if (type.value_or("custom") != "custom") {
      tool.Fail(NotServed(path, path + " is a tool of the server (" + Quote(*type) +
                                    "), which there are none of here"));
    } else if (!name.has_value() || schema == nullptr) {
      tool.Fail(InvalidField(path, path + " has no " + (name ? "input_schema" : "name")));
    }
    if (!tool.ok()) fields.Fail(*tool.error());
    tools.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return tools;
}

// {"type": "auto" | "any" | "tool" | "none", "name", "disable_parallel_tool_use"}
ToolChoice ReadToolChoice(Fields& fields, Request& request) {
  const json::object* object = fields.Object("tool_choice");
  if (object == nullptr) return {};
  Fields choice(*object, "tool_choice.");
  const std::string type(choice.String("type").value_or(""));
  ToolChoice out;
  if (type == "none") {
    out.kind = ToolChoice::Kind::kNone;
  } else if (type == "any") {
    out.kind = ToolChoice::Kind::kRequired;
  } else if (type == "tool") {
    out.kind = ToolChoice::Kind::kNamed;
    out.name = choice.String("name").value_or("");
    if (out.name.empty())
      choice.Fail(InvalidField("tool_choice.name", "tool_choice.name is missing"));
  } else if (type != "auto") {
    choice.Fail(InvalidField("tool_choice.type", "tool_choice.type is " + Quote(type) +
                                                     ", expected auto, any, tool or none"));
  }
  if (choice.Bool("disable_parallel_tool_use").value_or(false)) {
    SetInt(choice, request, "tool_choice.disable_parallel_tool_use", "parallel_tool_calls", 0);
  }
  if (!choice.ok()) fields.Fail(*choice.error());
  return out;
}

// {"type": "enabled" | "adaptive" | "disabled", "budget_tokens"}: what templates of models that may
// think call it.
void ReadThinking(Fields& fields, Request& request) {
  json::object kwargs;
  if (const json::object* thinking = fields.Object("thinking")) {
    Fields inner(*thinking, "thinking.");
    const std::string type(inner.String("type").value_or(""));
    if (type != "enabled" && type != "adaptive" && type != "disabled") {
      inner.Fail(InvalidField("thinking.type", "thinking.type is " + Quote(type) +
                                                   ", expected enabled, adaptive or disabled"));
    }
    if (const auto budget = inner.Int("budget_tokens"))
      SetInt(inner, request, "thinking.budget_tokens", "thinking_token_budget", *budget);
    if (!inner.ok()) fields.Fail(*inner.error());
    kwargs["enable_thinking"] = kwargs["thinking"] = type != "disabled";
  }
  if (const json::object* given = fields.Object("chat_template_kwargs")) {
    for (const auto& [name, value] : *given) kwargs[name] = value;
  }
  if (!kwargs.empty()) {
    CheckSet(fields, "chat_template_kwargs",
             request.SetString("chat_template_kwargs", json::serialize(kwargs)));
  }
}

void ReadSampling(Fields& fields, Request& request) {
  for (const char* name : {"temperature", "top_p"}) {
    if (const auto value = fields.Number(name))
      CheckSet(fields, name, request.SetFloat(name, *value));
  }
  for (const char* name : {"top_k", "priority", "timeout_ms"}) {
    if (const auto value = fields.Int(name)) SetInt(fields, request, name, name, *value);
  }
  for (const std::string_view stop : fields.Strings("stop_sequences"))
    CheckSet(fields, "stop_sequences", request.AddString("stop", stop));
  if (const auto salt = fields.String("cache_salt"))
    CheckSet(fields, "cache_salt", request.SetString("cache_salt", *salt));
}

// What makes the prompt.
Request ReadPrompt(Fields& fields) {
  Request request;
  json::array messages = ReadConversation(fields);
  SetTools(fields, ReadToolList(fields), ReadToolChoice(fields, request), request);
  ReadThinking(fields, request);
  if (fields.ok()) CheckSet(fields, "messages", MoveMedia(&messages, request));
  if (fields.ok()) CheckSet(fields, "messages", request.SetMessages(json::serialize(messages)));
  return request;
}

}  // namespace

MaybeError ParseMessages(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckNames(fields, kFields);
  call->unknown_fields = fields.unknown();
  call->stream = fields.Bool("stream").value_or(false);
  Request request = ReadPrompt(fields);
  ReadSampling(fields, request);
  const auto max_tokens = fields.Int("max_tokens");
  if (!max_tokens.has_value() || *max_tokens < 1) {
    fields.Fail(InvalidField(
        "max_tokens", "max_tokens is " +
                          (max_tokens ? std::to_string(*max_tokens) : std::string("missing")) +
                          ", expected at least 1"));
  }
  SetInt(fields, request, "max_tokens", "max_tokens", max_tokens.value_or(1));
  if (!call->stream) SetInt(fields, request, "stream", "stream", 0);
  call->requests.push_back(std::move(request));
  call->answer = std::make_unique<MessageAnswer>("msg_" + context.request_id, context.model);
  return fields.error();
}

MaybeError ParseCountTokens(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckNames(fields, kFields);
  call->unknown_fields = fields.unknown();
  const Request request = ReadPrompt(fields);
  if (!fields.ok()) return fields.error();
  const auto tokens = context.engine.PromptTokens(request);
  if (!tokens.ok()) return FromEngine(tokens.status());
  call->answer = std::make_unique<TokenCountAnswer>(tokens->size());
  return std::nullopt;
}

}  // namespace keel::apps
