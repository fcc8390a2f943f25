#include "apps/wire/openai/responses.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "apps/common/request_id.h"
#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"
#include "apps/wire/media_parts.h"
#include "apps/wire/openai/response_answer.h"
#include "apps/wire/openai/response_input.h"
#include "apps/wire/openai/response_store.h"
#include "apps/wire/openai/tool_calls.h"
#include "apps/wire/request_fields.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr KnownField kFields[] = {
    {"model"},
    {"input"},
    {"instructions"},
    {"previous_response_id"},
    {"store"},
    {"stream"},
    {"max_output_tokens"},
    {"temperature"},
    {"top_p"},
    {"tools"},
    {"tool_choice"},
    {"parallel_tool_calls"},
    {"text"},
    {"metadata"},
    {"chat_template_kwargs"},
    {"cache_salt"},
    {"priority"},
    {"timeout_ms"},
    RefusedField("background", "responses in the background are not served"),
    RefusedField("conversation", "conversations are not served; use previous_response_id"),
    RefusedField("prompt", "prompt templates are not served; use instructions and input"),
    RefusedField("messages", "use input"),
    RefusedField("max_tokens", "use max_output_tokens"),
    RefusedField("response_format", "use text.format"),
    IgnoredField("include"),
    IgnoredField("max_tool_calls"),
    IgnoredField("prompt_cache_key"),
    IgnoredField("reasoning"),
    IgnoredField("safety_identifier"),
    IgnoredField("service_tier"),
    IgnoredField("stream_options"),
    IgnoredField("top_logprobs"),
    IgnoredField("truncation"),
    IgnoredField("user"),
};

// The conversation before `input`, and where it comes from.
json::array ReadEarlier(Fields& fields) {
  const auto id = fields.String("previous_response_id");
  if (!id.has_value()) return {};
  const std::shared_ptr<const StoredResponse> kept = ResponseStore::OfServer().Find(*id);
  if (kept == nullptr) {
    fields.Fail({.code = ErrorCode::kNotFound,
                 .message = "there is no response " + Quote(*id) +
                            ", or it was too long ago; send the whole conversation as input",
                 .field = "previous_response_id"});
    return {};
  }
  json::array messages = json::parse(kept->messages).as_array();
  SetPlaces(&messages, "previous_response_id");
  return messages;
}

// {"type": "function", "name", "parameters", ...} to what chat templates take.
json::array ToolList(Fields& fields) {
  json::array out;
  const json::array* tools = fields.Array("tools");
  if (tools == nullptr) return out;
  for (size_t i = 0; i < tools->size() && fields.ok(); ++i) {
    const std::string path = "tools[" + std::to_string(i) + "]";
    const json::object* object = (*tools)[i].if_object();
    if (object == nullptr) {
      fields.FailType(path, (*tools)[i], "an object with type and name");
      break;
    }
    json::object function = *object;
    const json::value* type = object->if_contains("type");
    if (type == nullptr || *type != "function") {
      fields.Fail(NotServed(path, path + " is of type " +
                                      (type == nullptr ? "nothing" : json::serialize(*type)) +
                                      ", only functions are served"));
    }
    function.erase("type");
    out.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

// text: {"format": {"type": "text" | "json_object" | "json_schema", "schema"}}
void ReadFormat(Fields& fields, Request& request) {
  const json::object* text = fields.Object("text");
  if (text == nullptr) return;
  Fields inner(*text, "text.");
  const json::object* format = inner.Object("format");
  const json::object none;
  Fields fields_of(format == nullptr ? none : *format, "text.format.");
  const std::string_view type = fields_of.String("type").value_or("text");
  if (type == "json_object") {
    CheckSet(fields_of, "type", request.SetString("structured_json_object", "true"));
  } else if (type == "json_schema") {
    const json::object* schema = fields_of.Object("schema");
    if (schema == nullptr) {
      fields_of.Fail(InvalidField("text.format.schema", "text.format.schema is missing"));
    } else {
      CheckSet(fields_of, "schema", request.SetString("structured_json", json::serialize(*schema)));
    }
  } else if (type != "text") {
    fields_of.Fail(InvalidField(
        "text.format.type",
        "text.format.type is " + Quote(type) + ", expected text, json_object or json_schema"));
  }
  if (!inner.ok()) fields.Fail(*inner.error());
  if (!fields_of.ok()) fields.Fail(*fields_of.error());
}

void ReadSampling(Fields& fields, Request& request) {
  for (const char* name : {"temperature", "top_p"}) {
    if (const auto value = fields.Number(name))
      CheckSet(fields, name, request.SetFloat(name, *value));
  }
  if (const auto tokens = fields.Int("max_output_tokens"))
    SetInt(fields, request, "max_output_tokens", "max_tokens", *tokens);
  for (const char* name : {"priority", "timeout_ms"}) {
    if (const auto value = fields.Int(name)) SetInt(fields, request, name, name, *value);
  }
  if (const auto salt = fields.String("cache_salt"))
    CheckSet(fields, "cache_salt", request.SetString("cache_salt", *salt));
  if (const json::object* kwargs = fields.Object("chat_template_kwargs")) {
    CheckSet(fields, "chat_template_kwargs",
             request.SetString("chat_template_kwargs", json::serialize(*kwargs)));
  }
}

// What a response repeats of its request.
json::object Echo(Fields& fields) {
  json::object echo;
  for (const auto& [name, unset] : std::initializer_list<std::pair<const char*, json::value>>{
           {"instructions", nullptr},
           {"max_output_tokens", nullptr},
           {"metadata", json::object()},
           {"parallel_tool_calls", true},
           {"previous_response_id", nullptr},
           {"store", true},
           {"temperature", nullptr},
           {"text", {{"format", {{"type", "text"}}}}},
           {"tool_choice", "auto"},
           {"tools", json::array()},
           {"top_p", nullptr},
           {"truncation", "disabled"}}) {
    const json::value* value = fields.Find(name);
    echo[name] = value == nullptr ? unset : *value;
  }
  return echo;
}

}  // namespace

MaybeError ParseResponses(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckNames(fields, kFields);
  call->unknown_fields = fields.unknown();
  call->stream = fields.Bool("stream").value_or(false);
  Request request;
  json::array messages = ReadEarlier(fields);
  ReadResponseInput(fields, &messages);
  SetTools(fields, ToolList(fields), ReadToolChoice(fields), request);
  if (const auto parallel = fields.Bool("parallel_tool_calls"))
    SetInt(fields, request, "parallel_tool_calls", "parallel_tool_calls", *parallel ? 1 : 0);
  ReadFormat(fields, request);
  ReadSampling(fields, request);
  ResponseOptions options;
  options.id = "resp_" + NewRequestId();  // not the client's: whoever knows it may go on with it
  options.model = context.model;
  options.keep = fields.Bool("store").value_or(true);
  options.echo = Echo(fields);
  if (fields.ok()) {
    // Instructions are of one call, not of the conversation.
    json::array told;
    if (const auto instructions = fields.String("instructions"))
      told.push_back({{"role", "system"}, {"content", std::string(*instructions)}});
    told.insert(told.end(), messages.begin(), messages.end());
    CheckSet(fields, "input", MoveMedia(&told, request));
    CheckSet(fields, "input", request.SetMessages(json::serialize(told)));
  }
  if (!call->stream) SetInt(fields, request, "stream", "stream", 0);
  options.messages = std::move(messages);
  call->requests.push_back(std::move(request));
  call->answer = std::make_unique<ResponseAnswer>(std::move(options));
  return fields.error();
}

}  // namespace keel::apps
