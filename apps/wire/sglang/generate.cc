#include "apps/wire/sglang/generate.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"
#include "apps/wire/media_parts.h"
#include "apps/wire/prompts.h"
#include "apps/wire/request_fields.h"
#include "apps/wire/sglang/answer.h"
#include "apps/wire/sglang/sampling_params.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr KnownField kFields[] = {
    {"text"},
    {"input_ids"},
    {"sampling_params"},
    {"image_data"},
    {"video_data"},
    {"audio_data"},
    {"rid"},
    {"model"},
    {"stream"},
    {"return_logprob"},
    {"logprob_start_len"},
    {"top_logprobs_num"},
    {"return_text_in_logprobs"},
    {"return_prompt_token_ids"},
    {"priority"},
    {"extra_key"},
    {"cache_salt"},
    {"timeout_ms"},
    RefusedField("input_embeds", "prompts as embeddings are not served"),
    RefusedField("token_ids_logprob", "log-probabilities of chosen tokens are not served"),
    RefusedField("return_hidden_states", "hidden states are not served"),
    RefusedField("lora_path", "adapters are not served"),
    RefusedField("session_params", "sessions are not served"),
    RefusedField("custom_logit_processor", "custom logit processors are not served"),
    RefusedField("bootstrap_host", "disaggregated prefill is not served"),
    IgnoredField("modalities"),
    IgnoredField("background"),
    IgnoredField("no_logs"),
    IgnoredField("log_metrics"),
    IgnoredField("routed_dp_rank"),
    IgnoredField("data_parallel_rank"),
};

// These may be a list, with one value for each prompt of a list.
constexpr const char* kPerPrompt[] = {"rid", "sampling_params", "return_logprob",
                                      "logprob_start_len", "top_logprobs_num"};

struct Prompts {
  std::vector<Prompt> all;
  bool is_list = false;
};

Prompts ReadTextOrIds(Fields& fields) {
  const json::value* text = fields.Find("text");
  const json::value* ids = fields.Find("input_ids");
  Prompts prompts;
  if ((text == nullptr) == (ids == nullptr)) {
    fields.Fail(InvalidField("text", text == nullptr
                                         ? "text is missing, expected it or input_ids"
                                         : "text and input_ids are both set, expected one"));
  } else if (text != nullptr) {
    prompts.is_list = text->is_array();
    for (const std::string_view one : fields.Strings("text"))
      prompts.all.emplace_back(std::string(one));
    if (prompts.all.empty()) fields.FailType("text", *text, "a string or a list of strings");
  } else if (!ids->is_array() || ids->get_array().empty()) {
    fields.FailType("input_ids", *ids, "a list of token ids, or a list of such lists");
  } else {
    prompts.is_list = !ids->get_array().front().is_number();
    prompts.all = ReadPrompts(fields, "input_ids");
  }
  return prompts;
}

struct MediaField {
  const char *name, *modality;
};
constexpr MediaField kMedia[] = {
    {"image_data", "image"}, {"video_data", "video"}, {"audio_data", "audio"}};

bool IsUrl(std::string_view text) {
  for (const std::string_view scheme : {"data:", "http://", "https://", "file:"})
    if (text.starts_with(scheme)) return true;
  return false;
}

// An item: a URL, or a file's bytes as base64.
void AddMedium(Fields& fields, const MediaField& field, const json::value& item,
               const std::string& place, Request& request) {
  const json::string* text = item.if_string();
  if (text == nullptr) return fields.FailType(place, item, "a URL, a data URL or base64");
  const std::string_view given(text->data(), text->size());
  const Status status = IsUrl(given)
                            ? request.AddMediaUrl(field.modality, given, place.c_str())
                            : request.AddMediaUrl(field.modality, DataUrl(given), place.c_str());
  CheckSet(fields, field.name, status);
}

// What the placeholders of prompt `i` stand for: an item or a list of items. Of several prompts a list
// has that for each of them.
void ReadMedia(Fields& fields, const Prompts& prompts, size_t i, Request& request) {
  for (const MediaField& field : kMedia) {
    const json::value* value = fields.Find(field.name);
    if (value == nullptr) continue;
    std::string place = field.name;
    if (const json::array* rows = value->if_array(); rows != nullptr && prompts.is_list) {
      if (rows->size() != prompts.all.size()) {
        return fields.FailType(
            place, *value,
            "a list of " + std::to_string(prompts.all.size()) + ", one for each prompt");
      }
      value = &(*rows)[i];
      place += "[" + std::to_string(i) + "]";
      if (value->is_null()) continue;
    }
    const json::array* items = value->if_array();
    if (items == nullptr) AddMedium(fields, field, *value, place, request);
    for (size_t k = 0; items != nullptr && k < items->size(); ++k)
      AddMedium(fields, field, (*items)[k], place + "[" + std::to_string(k) + "]", request);
  }
}

// The fields of prompt `i`: those of the body, with the `i`th value of each list.
json::object RowOf(Fields& fields, const Prompts& prompts, size_t i) {
  json::object row;
  for (const char* name : kPerPrompt) {
    const json::value* value = fields.Find(name);
    if (value == nullptr) continue;
    const json::array* list = prompts.is_list ? value->if_array() : nullptr;
    if (list == nullptr) {
      row[name] = *value;
    } else if (list->size() == prompts.all.size()) {
      row[name] = (*list)[i];
    } else {
      fields.FailType(
          name, *value,
          "one value or a list of " + std::to_string(prompts.all.size()) + ", one for each prompt");
    }
  }
  return row;
}

void ReadLogprobs(Fields& fields, const CallLimits& limits, Request& request,
                  SglangPromptOptions* options) {
  const int64_t top = fields.Int("top_logprobs_num").value_or(0);
  const int64_t start = fields.Int("logprob_start_len").value_or(-1);
  options->logprobs = fields.Bool("return_logprob").value_or(false);
  if (top < 0 || (limits.max_logprobs >= 0 && top > limits.max_logprobs)) {
    return fields.Fail(InvalidField(
        "top_logprobs_num", "top_logprobs_num is " + std::to_string(top) + ", expected 0 to " +
                                std::to_string(limits.max_logprobs) + " (--max-logprobs)"));
  }
  if (start < -1) {
    return fields.Fail(
        InvalidField("logprob_start_len",
                     "logprob_start_len is " + std::to_string(start) + ", expected -1 or more"));
  }
  if (!options->logprobs) return;
  options->top_logprobs = top > 0;
  options->logprob_start = start;
  SetInt(fields, request, "top_logprobs_num", "logprobs", top);
  // Of the last prompt token alone nothing is said.
  if (start >= 0) SetInt(fields, request, "logprob_start_len", "prompt_logprobs", top);
}

// What is alike for all prompts.
void ReadCommon(Fields& fields, bool streams, Request& request) {
  // Here higher goes first.
  if (const auto priority = fields.Int("priority"))
    SetInt(fields, request, "priority", "priority", -*priority);
  std::string salt(fields.String("cache_salt").value_or(""));
  if (const auto key = fields.String("extra_key")) salt = std::string(*key) + "\n" + salt;
  if (!salt.empty()) CheckSet(fields, "cache_salt", request.SetString("cache_salt", salt));
  if (const auto timeout = fields.Int("timeout_ms"))
    SetInt(fields, request, "timeout_ms", "timeout_ms", *timeout);
  if (!streams) SetInt(fields, request, "stream", "stream", 0);
}

Request ReadPrompt(Fields& fields, const Prompts& prompts, size_t i, const CallContext& context,
                   SglangPromptOptions* options, Call* call) {
  Request request;
  ReadMedia(fields, prompts, i, request);
  CheckSet(fields, fields.Has("text") ? "text" : "input_ids", SetPrompt(prompts.all[i], request));
  const json::object row = RowOf(fields, prompts, i);
  Fields inner(row);
  options->id = inner.String("rid").value_or(context.request_id);
  // One id for several prompts: each has its own, as the others' answers say.
  if (prompts.is_list && (!fields.Has("rid") || fields.Find("rid")->is_string()))
    options->id += "_" + std::to_string(i);
  CheckSet(inner, "rid", request.SetString("request_id", options->id));
  ReadLogprobs(inner, context.limits, request, options);
  const json::object none;
  const json::object* params = inner.Object("sampling_params");
  Fields sampling(params == nullptr ? none : *params, "sampling_params.");
  options->n = std::max<int64_t>(1, ReadSglangSamplingParams(sampling, request));
  // Of one prompt: those of the others are the same, mostly.
  if (i == 0) {
    call->unknown_fields.insert(call->unknown_fields.end(), sampling.unknown().begin(),
                                sampling.unknown().end());
  }
  if (!inner.ok()) fields.Fail(*inner.error());
  if (!sampling.ok()) fields.Fail(*sampling.error());
  return request;
}

}  // namespace

MaybeError ParseSglangGenerate(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckNames(fields, kFields);
  call->unknown_fields = fields.unknown();
  call->stream = fields.Bool("stream").value_or(false);
  const Prompts prompts = ReadTextOrIds(fields);
  SglangAnswerOptions options;
  options.in_list = prompts.is_list;
  options.incremental = context.incremental_streams;
  options.texts_in_logprobs = fields.Bool("return_text_in_logprobs").value_or(false);
  options.prompt_token_ids = fields.Bool("return_prompt_token_ids").value_or(false);
  CheckSequences(fields, "text", prompts.all.size(), 1, context.limits);
  for (size_t i = 0; i < prompts.all.size() && fields.ok(); ++i) {
    Request request =
        ReadPrompt(fields, prompts, i, context, &options.prompts.emplace_back(), call);
    ReadCommon(fields, call->stream, request);
    options.in_list = options.in_list || options.prompts.back().n > 1;
    CheckSequences(fields, "sampling_params.n", prompts.all.size(), options.prompts.back().n,
                   context.limits);
    call->requests.push_back(std::move(request));
  }
  if (const auto* rid = fields.Find("rid"); rid != nullptr && rid->is_string())
    call->id = std::string(rid->get_string());
  call->answer = std::make_unique<SglangAnswer>(context.engine, std::move(options));
  return fields.error();
}

bool IsSglangGenerate(const json::object& body) {
  for (const char* name : {"text", "input_ids", "input_embeds", "sampling_params"}) {
    if (body.contains(name)) return true;
  }
  return false;
}

}  // namespace keel::apps
