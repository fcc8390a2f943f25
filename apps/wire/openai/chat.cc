#include "apps/wire/openai/chat.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/wire/fields.h"
#include "apps/wire/media_parts.h"
#include "apps/wire/openai/chat_answer.h"
#include "apps/wire/openai/content_parts.h"
#include "apps/wire/openai/field_table.h"
#include "apps/wire/openai/logprobs.h"
#include "apps/wire/openai/sampling_fields.h"
#include "apps/wire/openai/tool_calls.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Each becomes some kilobytes on its way through a template, however short it is.
constexpr size_t kMaxMessages = 1 << 16;

json::array ReadMessages(Fields& fields) {
  json::array messages;
  const json::array* list = fields.Array("messages");
  if (list == nullptr || list->empty()) {
    fields.Fail(InvalidField("messages",
                             "messages is " + std::string(list == nullptr ? "missing" : "empty") +
                                 ", expected [{\"role\": \"user\", \"content\": \"...\"}]"));
    return messages;
  }
  if (list->size() > kMaxMessages) {
    fields.Fail(InvalidField("messages", "messages has " + std::to_string(list->size()) +
                                             " entries, expected at most " +
                                             std::to_string(kMaxMessages)));
    return messages;
  }
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string name = "messages[" + std::to_string(i) + "]";
    const json::object* object = (*list)[i].if_object();
    if (object == nullptr) {
      fields.FailType(name, (*list)[i], "an object with role and content");
      break;
    }
    Fields message(*object, name + ".");
    json::object copy = *object;
    if (!message.String("role").has_value()) {
      message.Fail(InvalidField(name + ".role", name + " has no role, expected for instance user"));
    }
    if (const json::value* content = message.Find("content")) {
      copy["content"] = ReadContent(message, *content);
    } else if (!message.Has("tool_calls")) {
      message.Fail(InvalidField(name + ".content", name + " has no content"));
    }
    ReadToolCalls(fields, name + ".", &copy);
    if (!message.ok()) fields.Fail(*message.error());
    messages.push_back(std::move(copy));
  }
  return messages;
}

void ReadLogprobs(Fields& fields, const CallLimits& limits, Request& request,
                  ChatAnswerOptions* options) {
  options->logprobs = fields.Bool("logprobs").value_or(false);
  options->prompt_logprobs = fields.Has("prompt_logprobs");
  const std::optional<int64_t> top = ReadNumLogprobs(fields, "top_logprobs", limits);
  if (options->logprobs) {
    SetInt(fields, request, "top_logprobs", "logprobs", top.value_or(0));
  } else if (top.value_or(0) != 0) {
    fields.Fail(InvalidField("top_logprobs", "top_logprobs is set, but logprobs is not true"));
  }
}

// Fields of the chat template and of the processor.
void ReadTemplateFields(Fields& fields, Request& request) {
  for (const char* name : {"add_generation_prompt", "continue_final_message"}) {
    if (const auto value = fields.Bool(name)) SetInt(fields, request, name, name, *value ? 1 : 0);
  }
  for (const char* name : {"chat_template_kwargs", "documents", "mm_processor_kwargs"}) {
    const json::value* value = fields.Find(name);
    if (value == nullptr) continue;
    const Status status = request.SetString(name, json::serialize(*value));
    if (!status.ok()) fields.Fail(FromEngine(status, name));
  }
}

MaybeError Parse(const json::object& body, const CallContext& context, bool has_full_chunks,
                 Call* call) {
  Fields fields(body);
  CheckFieldNames(fields, OpenAiEndpoint::kChat);
  call->unknown_fields = fields.unknown();
  OpenAiAnswerOptions common = ReadCallFields(fields, context, call);
  CheckSequences(fields, /*prompts=*/1, context.limits);
  common.id = "chatcmpl-" + context.request_id;
  common.has_full_chunks = has_full_chunks;
  ChatAnswerOptions options;
  options.return_token_ids = fields.Bool("return_token_ids").value_or(false);
  options.tokens_as_ids = fields.Bool("return_tokens_as_token_ids").value_or(false);
  options.special_in_text = !fields.Bool("skip_special_tokens").value_or(true);
  if (fields.Bool("echo").value_or(false)) {
    fields.Fail(NotServed("echo", "echo is served by /v1/completions only"));
  }
  Request request;
  json::array messages = ReadMessages(fields);
  options.names_tool = ReadTools(fields, request).kind == ToolChoice::Kind::kNamed;
  ReadSamplingFields(fields, context.limits, request);
  ReadLogprobs(fields, context.limits, request, &options);
  ReadTemplateFields(fields, request);
  for (const char* name : {"max_completion_tokens", "max_tokens"}) {  // the older name second
    if (const auto value = fields.Int(name)) {
      SetInt(fields, request, name, "max_tokens", *value);
      break;
    }
  }
  if (const auto budget = fields.Int("thinking_token_budget"))
    SetInt(fields, request, "thinking_token_budget", "thinking_token_budget", *budget);
  if (fields.ok()) {
    Status status = MoveMedia(&messages, request);
    if (status.ok()) status = request.SetMessages(json::serialize(messages));
    if (!status.ok()) fields.Fail(FromEngine(status, "messages"));
  }
  call->requests.push_back(std::move(request));
  call->answer = std::make_unique<ChatAnswer>(context.engine, std::move(common), options);
  return fields.error();
}

}  // namespace

MaybeError ParseChat(const json::object& body, const CallContext& context, Call* call) {
  return Parse(body, context, /*has_full_chunks=*/false, call);
}

MaybeError ParseFullChunksChat(const json::object& body, const CallContext& context, Call* call) {
  return Parse(body, context, /*has_full_chunks=*/true, call);
}

}  // namespace keel::apps
