// sdk/abi/engine.h: requests, parameter by parameter.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/capi/handles.h"
#include "core/engine/request_limits.h"
#include "sdk/abi/engine.h"

namespace keel {
namespace {

// The messages that a request carries; turns the prompt into them if it is something else.
ChatPrompt& Chat(Request& request) {
  if (!std::holds_alternative<ChatPrompt>(request.prompt)) request.prompt = ChatPrompt();
  return std::get<ChatPrompt>(request.prompt);
}

constexpr int64_t kMinInt64 = std::numeric_limits<int64_t>::min();
constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

// A parameter: its name and how it is assigned, once its value is known to be good.
struct IntParameter : IntRange {
  void (*assign)(RequestDraft& request, int64_t value);
};
struct FloatParameter {
  const char* name;
  void (*assign)(RequestDraft& request, double value);
};
struct StringParameter {
  const char* name;
  void (*assign)(RequestDraft& request, std::string value);
};
struct GrammarParameter {
  const char* name;
  GrammarSpec::Kind kind;
};

constexpr IntParameter kInts[] = {
    {kMaxTokens, [](RequestDraft& r, int64_t v) { r.max_tokens = v; }},
    {{"min_tokens", 0}, [](RequestDraft& r, int64_t v) { r.sampling.min_tokens = v; }},
    {kNumAnswers, [](RequestDraft& r, int64_t v) { r.n = v; }},
    {kBestOf, [](RequestDraft& r, int64_t v) { r.best_of = v; }},
    {kBeamWidth, [](RequestDraft& r, int64_t v) { r.beams = BeamOptions{.width = v}; }},
    {{"early_stopping", 0, 2},
     [](RequestDraft& r, int64_t v) {
       r.beam_options.early_stopping = v == 0   ? EarlyStopping::kHeuristic
                                       : v == 1 ? EarlyStopping::kFull
                                                : EarlyStopping::kNever;
     }},
    {kTimeoutMs, [](RequestDraft& r, int64_t v) { r.timeout_ms = v; }},
    {{"structured_disable_any_whitespace", 0, 1},
     [](RequestDraft& r, int64_t v) { r.grammar_options.disable_any_whitespace = v != 0; }},
    {{"structured_disable_additional_properties", 0, 1},
     [](RequestDraft& r, int64_t v) { r.grammar_options.disable_additional_properties = v != 0; }},
    {{"seed", kMinInt64, kMaxInt64}, [](RequestDraft& r, int64_t v) { r.sampling.seed = v; }},
    {{"top_k", -1}, [](RequestDraft& r, int64_t v) { r.sampling.top_k = v; }},
    {{"logprobs", -1}, [](RequestDraft& r, int64_t v) { r.sampling.logprobs = v; }},
    {{"prompt_logprobs", -1}, [](RequestDraft& r, int64_t v) { r.sampling.prompt_logprobs = v; }},
    {{"priority", -kMaxParameter},
     [](RequestDraft& r, int64_t v) { r.priority = static_cast<int32_t>(v); }},
    {{"ignore_eos", 0, 1}, [](RequestDraft& r, int64_t v) { r.ignore_eos = v != 0; }},
    {{"skip_special_tokens", 0, 1},
     [](RequestDraft& r, int64_t v) { r.skip_special_tokens = v != 0; }},
    {{"include_stop_str_in_output", 0, 1},
     [](RequestDraft& r, int64_t v) { r.include_stop_str_in_output = v != 0; }},
    {{"add_special_tokens", 0, 1},
     [](RequestDraft& r, int64_t v) { r.add_special_tokens = v != 0; }},
    {{"add_generation_prompt", 0, 1},
     [](RequestDraft& r, int64_t v) { Chat(r).add_generation_prompt = v != 0; }},
    {{"continue_final_message", 0, 1},
     [](RequestDraft& r, int64_t v) { Chat(r).continue_final_message = v != 0; }},
    {{"stream", 0, 1}, [](RequestDraft& r, int64_t v) { r.stream = v != 0; }},
    {{"max_unread_tokens", 0}, [](RequestDraft& r, int64_t v) { r.max_unread_tokens = v; }},
    {{"parse_output", 0, 1}, [](RequestDraft& r, int64_t v) { r.parses = v != 0; }},
    {{"parallel_tool_calls", 0, 1},
     [](RequestDraft& r, int64_t v) { r.parsing_options.parallel_calls = v != 0; }},
    {{"thinking_token_budget", 0}, [](RequestDraft& r, int64_t v) { r.thinking_token_budget = v; }},
    {{"truncate_prompt_tokens", -1},
     [](RequestDraft& r, int64_t v) { r.pooling_options.truncate_prompt_tokens = v; }},
    {{"dimensions", 1}, [](RequestDraft& r, int64_t v) { r.pooling_options.dimensions = v; }},
    {{"use_activation", 0, 1},
     [](RequestDraft& r, int64_t v) { r.pooling_options.use_activation = v != 0; }},
};

constexpr FloatParameter kFloats[] = {
    {"length_penalty", [](RequestDraft& r, double v) { r.beam_options.length_penalty = v; }},
    {"temperature", [](RequestDraft& r, double v) { r.sampling.temperature = v; }},
    {"top_p", [](RequestDraft& r, double v) { r.sampling.top_p = v; }},
    {"min_p", [](RequestDraft& r, double v) { r.sampling.min_p = v; }},
    {"typical_p", [](RequestDraft& r, double v) { r.sampling.typical_p = v; }},
    {"repetition_penalty", [](RequestDraft& r, double v) { r.sampling.repetition_penalty = v; }},
    {"presence_penalty", [](RequestDraft& r, double v) { r.sampling.presence_penalty = v; }},
    {"frequency_penalty", [](RequestDraft& r, double v) { r.sampling.frequency_penalty = v; }},
};

constexpr StringParameter kStrings[] = {
    {"tools", [](RequestDraft& r, std::string v) { Chat(r).tools = std::move(v); }},
    {"chat_template_kwargs",
     [](RequestDraft& r, std::string v) { Chat(r).template_kwargs = std::move(v); }},
    {"documents", [](RequestDraft& r, std::string v) { Chat(r).documents = std::move(v); }},
    {"cache_salt", [](RequestDraft& r, std::string v) { r.cache_salt = std::move(v); }},
    {"request_id", [](RequestDraft& r, std::string v) { r.request_id = std::move(v); }},
    {"tool_name",
     [](RequestDraft& r, std::string v) {
       r.parsing_options.tools = ToolUse::kNamed;
       r.parsing_options.named = std::move(v);
     }},
    {"text_pair", [](RequestDraft& r, std::string v) { r.text_pair = std::move(v); }},
    {"mm_processor_kwargs",
     [](RequestDraft& r, std::string v) { r.mm_processor_kwargs = std::move(v); }},
    {"structured_whitespace_pattern",
     [](RequestDraft& r, std::string v) { r.grammar_options.whitespace_pattern = std::move(v); }},
};

// A request has one of these.
constexpr GrammarParameter kGrammars[] = {
    {"structured_json", GrammarSpec::Kind::kJsonSchema},
    {"structured_json_object", GrammarSpec::Kind::kJsonObject},
    {"structured_regex", GrammarSpec::Kind::kRegex},
    {"structured_choice", GrammarSpec::Kind::kChoice},
    {"structured_grammar", GrammarSpec::Kind::kGrammar},
};

constexpr StringParameter kStringLists[] = {
    {"stop", [](RequestDraft& r, std::string v) { r.stop.push_back(std::move(v)); }},
    {"bad_words",
     [](RequestDraft& r, std::string v) { r.sampling.bad_words.push_back(std::move(v)); }},
};

constexpr IntParameter kIntLists[] = {
    {{"stop_token_ids", 0},
     [](RequestDraft& r, int64_t v) { r.stop_token_ids.push_back(static_cast<int32_t>(v)); }},
    {{"allowed_token_ids", 0},
     [](RequestDraft& r, int64_t v) {
       r.sampling.allowed_token_ids.push_back(static_cast<int32_t>(v));
     }},
};

template <typename Parameter>
const Parameter* Find(absl::Span<const Parameter> table, absl::string_view name) {
  const auto it = std::find_if(table.begin(), table.end(),
                               [&](const Parameter& parameter) { return parameter.name == name; });
  return it == table.end() ? nullptr : &*it;
}

template <typename Parameter>
absl::Status Unknown(absl::Span<const Parameter> table, absl::string_view kind,
                     absl::string_view name) {
  std::vector<std::string> known;
  for (const Parameter& parameter : table) known.emplace_back(parameter.name);
  return WithField(
      absl::InvalidArgumentError(absl::StrCat("unknown ", kind, " parameter '", name,
                                              "', expected one of ", absl::StrJoin(known, ", "))),
      name);
}

absl::Status SetInt(absl::Span<const IntParameter> table, absl::string_view kind,
                    absl::string_view name, RequestDraft& request, int64_t value) {
  const IntParameter* parameter = Find(table, name);
  if (parameter == nullptr) return Unknown(table, kind, name);
  KEEL_RETURN_IF_ERROR(CheckRange(*parameter, value));
  parameter->assign(request, value);
  return absl::OkStatus();
}

absl::Status SetFloat(absl::string_view name, RequestDraft& request, double value) {
  const FloatParameter* parameter = Find(absl::MakeConstSpan(kFloats), name);
  if (parameter == nullptr) return Unknown(absl::MakeConstSpan(kFloats), "number", name);
  if (!std::isfinite(value)) {
    return WithField(
        absl::InvalidArgumentError(absl::StrCat(name, " is ", value, ", expected a finite number")),
        name);
  }
  parameter->assign(request, value);
  return absl::OkStatus();
}

absl::Status SetGrammar(const GrammarParameter& parameter, RequestDraft& request,
                        std::string source) {
  if (request.grammar.has_value()) {
    return WithField(absl::InvalidArgumentError(absl::StrCat(
                         parameter.name,
                         " is set and so is another of structured_json, structured_json_object, "
                         "structured_regex, structured_choice and structured_grammar; expected "
                         "one of them")),
                     parameter.name);
  }
  request.grammar = GrammarSpec{.kind = parameter.kind, .source = std::move(source)};
  return absl::OkStatus();
}

absl::Status SetTask(RequestDraft& request, std::string task) {
  if (task == "generate") {
    request.pooling.reset();
  } else if (task == "embed" || task == "classify") {
    request.pooling = PoolingRequest{.task = std::move(task)};
  } else {
    return WithField(absl::InvalidArgumentError(absl::StrCat(
                         "task is '", task, "', expected generate, embed or classify")),
                     "task");
  }
  return absl::OkStatus();
}

absl::Status SetToolChoice(RequestDraft& request, absl::string_view choice) {
  if (choice == "auto") {
    request.parsing_options.tools = ToolUse::kAuto;
  } else if (choice == "none") {
    request.parsing_options.tools = ToolUse::kNone;
  } else if (choice == "required") {
    request.parsing_options.tools = ToolUse::kRequired;
  } else {
    return WithField(absl::InvalidArgumentError(absl::StrCat("tool_choice is '", choice,
                                                             "', expected auto, none or required")),
                     "tool_choice");
  }
  return absl::OkStatus();
}

absl::Status AddMedia(RequestDraft& request, absl::string_view modality, std::string place,
                      MediaInput::Content content) {
  for (const uint32_t known : {KEEL_MODALITY_IMAGE, KEEL_MODALITY_VIDEO, KEEL_MODALITY_AUDIO}) {
    if (modality != ModalityName(known)) continue;
    request.media.emplace_back(known, std::move(content), std::move(place));
    return absl::OkStatus();
  }
  return WithField(absl::InvalidArgumentError(absl::StrCat("modality is '", modality,
                                                           "', expected image, video or audio")),
                   "modality");
}

absl::Status SetString(absl::Span<const StringParameter> table, absl::string_view kind,
                       absl::string_view name, RequestDraft& request, std::string value) {
  const StringParameter* parameter = Find(table, name);
  if (parameter == nullptr) return Unknown(table, kind, name);
  parameter->assign(request, std::move(value));
  return absl::OkStatus();
}

}  // namespace

Request RequestDraft::Finish() const {
  Request out = *this;
  if (out.grammar.has_value()) {
    out.grammar->disable_any_whitespace = grammar_options.disable_any_whitespace;
    out.grammar->whitespace_pattern = grammar_options.whitespace_pattern;
    out.grammar->disable_additional_properties = grammar_options.disable_additional_properties;
  }
  if (out.beams.has_value()) {
    out.beams->length_penalty = beam_options.length_penalty;
    out.beams->early_stopping = beam_options.early_stopping;
  }
  if (parses) out.parsing = parsing_options;
  if (out.pooling.has_value()) {
    out.pooling->dimensions = pooling_options.dimensions;
    out.pooling->truncate_prompt_tokens = pooling_options.truncate_prompt_tokens;
    out.pooling->use_activation = pooling_options.use_activation;
  }
  return out;
}

}  // namespace keel

using keel::Guard;

extern "C" {

keel_status keel_request_new(keel_request** out) {
  return Guard({{"out", out}}, [&] {
    *out = new keel_request;
    return absl::OkStatus();
  });
}

void keel_request_free(keel_request* request) { delete request; }

keel_status keel_request_set_prompt_text(keel_request* request, const char* text, size_t n) {
  return Guard({{"request", request}, {"text", text, n}}, [&] {
    request->request.prompt = std::string(text, n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_prompt_tokens(keel_request* request, const int32_t* ids, size_t n) {
  return Guard({{"request", request}, {"ids", ids, n}}, [&] {
    request->request.prompt = std::vector<int32_t>(ids, ids + n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_messages(keel_request* request, const char* json, size_t n) {
  return Guard({{"request", request}, {"json", json, n}}, [&] {
    keel::Chat(request->request).messages.assign(json, n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_int(keel_request* request, const char* name, int64_t value) {
  return Guard({{"request", request}, {"name", name}},
               [&] { return keel::SetInt(keel::kInts, "integer", name, request->request, value); });
}

keel_status keel_request_set_float(keel_request* request, const char* name, double value) {
  return Guard({{"request", request}, {"name", name}},
               [&] { return keel::SetFloat(name, request->request, value); });
}

keel_status keel_request_set_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  return Guard({{"request", request}, {"name", name}, {"value", value, n}}, [&] {
    if (const auto* grammar = keel::Find(absl::MakeConstSpan(keel::kGrammars), name))
      return keel::SetGrammar(*grammar, request->request, std::string(value, n));
    if (absl::string_view(name) == "task")
      return keel::SetTask(request->request, std::string(value, n));
    if (absl::string_view(name) == "tool_choice")
      return keel::SetToolChoice(request->request, absl::string_view(value, n));
    return keel::SetString(keel::kStrings, "text", name, request->request, std::string(value, n));
  });
}

keel_status keel_request_add_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  return Guard({{"request", request}, {"name", name}, {"value", value, n}}, [&] {
    return keel::SetString(keel::kStringLists, "text list", name, request->request,
                           std::string(value, n));
  });
}

keel_status keel_request_add_int(keel_request* request, const char* name, int64_t value) {
  return Guard({{"request", request}, {"name", name}}, [&] {
    return keel::SetInt(keel::kIntLists, "integer list", name, request->request, value);
  });
}

keel_status keel_request_add_logit_bias(keel_request* request, int32_t token, double bias) {
  return Guard({{"request", request}}, [&] {
    request->request.sampling.logit_bias.emplace_back(token, bias);
    return absl::OkStatus();
  });
}

keel_status keel_request_add_media(keel_request* request, const char* modality, const void* file,
                                   size_t n, const char* place) {
  return Guard({{"request", request}, {"modality", modality}, {"file", file, n}, {"place", place}},
               [&] {
                 return keel::AddMedia(request->request, modality, place,
                                       keel::MediaInput::File{std::make_shared<const std::string>(
                                           static_cast<const char*>(file), n)});
               });
}

keel_status keel_request_add_media_url(keel_request* request, const char* modality, const char* url,
                                       size_t n, const char* place) {
  return Guard(
      {{"request", request}, {"modality", modality}, {"url", url, n}, {"place", place}}, [&] {
        return keel::AddMedia(request->request, modality, place,
                              keel::MediaInput::Url{std::make_shared<const std::string>(url, n)});
      });
}

keel_status keel_request_add_image(keel_request* request, const uint8_t* rgb, int64_t height,
                                   int64_t width) {
  return Guard({{"request", request}, {"rgb", rgb}}, [&] {
    keel::MediaItem image;
    image.height = height;
    image.width = width;
    KEEL_RETURN_IF_ERROR(keel::WithField(CheckMediaSizes(image), "media"));
    image.rgb.assign(rgb, rgb + height * width * 3);
    request->request.media.push_back(std::make_shared<const keel::MediaItem>(std::move(image)));
    return absl::OkStatus();
  });
}

keel_status keel_request_add_audio(keel_request* request, const float* samples, size_t n,
                                   int64_t rate) {
  return Guard({{"request", request}, {"samples", samples}}, [&]() -> absl::Status {
    constexpr int64_t kMostRate = 768000;
    keel::MediaItem audio;
    audio.modality = KEEL_MODALITY_AUDIO;
    audio.length = static_cast<int64_t>(n);
    audio.rate = static_cast<double>(rate);
    KEEL_RETURN_IF_ERROR(keel::WithField(CheckMediaSizes(audio), "media"));
    if (rate < 1 || rate > kMostRate) {
      return keel::WithField(
          absl::InvalidArgumentError(
              absl::StrCat("audio of ", rate, " samples a second, expected 1 to ", kMostRate)),
          "media");
    }
    audio.samples.assign(samples, samples + n);
    request->request.media.push_back(std::make_shared<const keel::MediaItem>(std::move(audio)));
    return absl::OkStatus();
  });
}

}  // extern "C"
