#include "apps/wire/openai/sampling_fields.h"

#include <algorithm>
#include <string>
#include <utility>

#include "apps/wire/openai/logprobs.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Fields that go to the engine under their own name.
constexpr const char* kInts[] = {"best_of",         "min_tokens", "n",          "priority",
                                 "prompt_logprobs", "seed",       "timeout_ms", "top_k"};
constexpr const char* kFloats[] = {"frequency_penalty",  "min_p",       "presence_penalty",
                                   "repetition_penalty", "temperature", "top_p",
                                   "typical_p"};
constexpr const char* kBools[] = {"add_special_tokens", "ignore_eos", "include_stop_str_in_output",
                                  "skip_special_tokens"};
constexpr const char* kIdLists[] = {"allowed_token_ids", "stop_token_ids"};

void SetJson(Fields& fields, Request& request, std::string_view field, const char* name,
             const json::value& value) {
  CheckSet(fields, field, request.SetString(name, json::serialize(value)));
}

// {"type": "text" | "json_object" | "json_schema", "json_schema": {"schema": {...}}}
void ReadResponseFormat(Fields& fields, Request& request) {
  const json::object* format = fields.Object("response_format");
  if (format == nullptr) return;
  Fields inner(*format, "response_format.");
  const std::optional<std::string_view> type = inner.String("type");
  if (type == "json_object") {
    CheckSet(fields, "response_format", request.SetString("structured_json_object", "true"));
  } else if (type == "json_schema") {
    const json::object* outer = inner.Object("json_schema");
    const json::value* schema = outer == nullptr ? nullptr : outer->if_contains("schema");
    if (schema == nullptr) {
      fields.Fail(InvalidField("response_format",
                               "response_format of type json_schema has no json_schema.schema"));
      return;
    }
    SetJson(fields, request, "response_format", "structured_json", *schema);
  } else if (inner.ok() && type != "text") {
    fields.Fail(InvalidField("response_format.type",
                             "response_format.type is " +
                                 (type.has_value() ? "\"" + std::string(*type) + "\"" : "missing") +
                                 ", expected text, json_object or json_schema"));
  }
  if (!inner.ok()) fields.Fail(*inner.error());
}

void ReadStructuredOutput(Fields& fields, Request& request, const std::string& field,
                          const std::string& key, const json::value& value) {
  const std::string name = "structured_" + key;
  if (key == "json_object") {
    if (value.is_bool() && value.get_bool())
      CheckSet(fields, field, request.SetString(name.c_str(), "true"));
  } else if (value.is_bool()) {
    SetInt(fields, request, field, name.c_str(), value.get_bool() ? 1 : 0);
  } else if (value.is_string()) {
    const json::string& text = value.get_string();
    CheckSet(fields, field, request.SetString(name.c_str(), {text.data(), text.size()}));
  } else if (!value.is_null()) {
    SetJson(fields, request, field, name.c_str(), value);
  }
}

// vLLM's structured_outputs: one of json, regex, choice, grammar, json_object; and options of it.
void ReadStructuredOutputs(Fields& fields, Request& request) {
  const json::object* outputs = fields.Object("structured_outputs");
  if (outputs == nullptr) return;
  for (const auto& [key, value] : *outputs) {
    ReadStructuredOutput(fields, request, "structured_outputs." + std::string(key),
                         std::string(key), value);
  }
}

// vLLM's older names of the fields of structured_outputs.
void ReadGuided(Fields& fields, Request& request) {
  for (const char* name :
       {"json", "regex", "choice", "grammar", "json_object", "whitespace_pattern"}) {
    const std::string field = std::string("guided_") + name;
    if (const json::value* value = fields.Find(field)) {
      ReadStructuredOutput(fields, request, field, name, *value);
    }
  }
}

// As in vLLM, n is the width of the search too; early_stopping is transformers', true, false or "never".
void ReadBeamSearch(Fields& fields, Request& request) {
  if (!fields.Bool("use_beam_search").value_or(false)) return;
  SetInt(fields, request, "use_beam_search", "beam_width", fields.Int("n").value_or(1));
  if (const auto penalty = fields.Number("length_penalty"))
    CheckSet(fields, "length_penalty", request.SetFloat("length_penalty", *penalty));
  const json::value* early = fields.Find("early_stopping");
  if (early == nullptr || early->is_null()) return;
  if (early->is_bool()) {
    SetInt(fields, request, "early_stopping", "early_stopping", early->get_bool() ? 1 : 0);
  } else if (early->is_string() && early->get_string() == "never") {
    SetInt(fields, request, "early_stopping", "early_stopping", 2);
  } else {
    fields.FailType("early_stopping", *early, "true, false or \"never\"");
  }
}

}  // namespace

OpenAiAnswerOptions ReadCallFields(Fields& fields, const CallContext& context, Call* call) {
  OpenAiAnswerOptions options;
  options.model = context.model;
  options.n = static_cast<size_t>(std::max<int64_t>(1, fields.Int("n").value_or(1)));
  call->stream = fields.Bool("stream").value_or(false);
  const json::object* stream_options = fields.Object("stream_options");
  if (stream_options == nullptr) return options;
  if (!call->stream) {
    fields.Fail(InvalidField("stream_options", "stream_options is set, but stream is not true"));
  }
  Fields inner(*stream_options, "stream_options.");
  options.include_usage = inner.Bool("include_usage").value_or(false);
  options.continuous_usage_stats = inner.Bool("continuous_usage_stats").value_or(false);
  if (!inner.ok()) fields.Fail(*inner.error());
  return options;
}

void CheckSequences(Fields& fields, size_t prompts, const CallLimits& limits) {
  const int64_t n =
      std::max({int64_t{1}, fields.Int("n").value_or(1), fields.Int("best_of").value_or(1)});
  CheckSequences(fields, prompts > 1 ? "prompt" : "n", prompts, n, limits);
}

void ReadSamplingFields(Fields& fields, const CallLimits& limits, Request& request) {
  ReadNumLogprobs(fields, "prompt_logprobs", limits);
  for (const char* name : kInts) {
    if (const auto value = fields.Int(name)) SetInt(fields, request, name, name, *value);
  }
  for (const char* name : kFloats) {
    if (const auto value = fields.Number(name)) {
      CheckSet(fields, name, request.SetFloat(name, *value));
    }
  }
  for (const char* name : kBools) {
    if (const auto value = fields.Bool(name)) {
      SetInt(fields, request, name, name, *value ? 1 : 0);
    }
  }
  for (const char* name : kIdLists) {
    for (const int32_t id : fields.TokenIds(name)) CheckSet(fields, name, request.AddInt(name, id));
  }
  for (const char* name : {"stop", "bad_words"}) {
    for (const std::string_view text : fields.Strings(name)) {
      CheckSet(fields, name, request.AddString(name, text));
    }
  }
  for (const char* name : {"cache_salt", "request_id"}) {
    if (const auto text = fields.String(name))
      CheckSet(fields, name, request.SetString(name, *text));
  }
  ReadLogitBias(fields, "logit_bias", request);
  ReadResponseFormat(fields, request);
  ReadStructuredOutputs(fields, request);
  ReadGuided(fields, request);
  ReadBeamSearch(fields, request);
  if (!fields.Bool("stream").value_or(false)) SetInt(fields, request, "stream", "stream", 0);
}

}  // namespace keel::apps
