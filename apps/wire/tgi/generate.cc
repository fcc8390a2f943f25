#include "apps/wire/tgi/generate.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"
#include "apps/wire/tgi/answer.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Text that is tokenized here, to be cut; what is longer is not.
constexpr size_t kMaxTruncatedBytes = 1 << 20;

constexpr std::string_view kPath = "parameters.";

constexpr KnownField kFields[] = {{"inputs"}, {"parameters"}, {"stream"}, {"model"}};
constexpr KnownField kParameters[] = {{"best_of"},
                                      {"temperature"},
                                      {"repetition_penalty"},
                                      {"frequency_penalty"},
                                      {"top_k"},
                                      {"top_p"},
                                      {"typical_p"},
                                      {"do_sample"},
                                      {"max_new_tokens"},
                                      {"return_full_text"},
                                      {"stop"},
                                      {"truncate"},
                                      {"details"},
                                      {"decoder_input_details"},
                                      {"seed"},
                                      {"top_n_tokens"},
                                      {"grammar"},
                                      RefusedField("watermark", "watermarks are not served"),
                                      RefusedField("adapter_id", "adapters are not served")};

void Check(Fields& fields, std::string_view name, const Status& status) {
  if (!status.ok()) fields.Fail(FromEngine(status, std::string(kPath) + std::string(name)));
}

void Refuse(Fields& fields, std::string_view name, const std::string& words) {
  fields.Fail(InvalidField(std::string(kPath) + std::string(name),
                           std::string(kPath) + std::string(name) + " " + words));
}

// Between 0 and 1, or 1 where the field may be off.
void ReadShare(Fields& fields, const char* name, Request& request) {
  const auto value = fields.Number(name);
  if (value.has_value() && (*value <= 0 || *value >= 1))
    return Refuse(fields, name,
                  "is " + std::to_string(*value) + ", expected more than 0 and less than 1");
  // The protocol's own neutral value, whatever generation_config.json says.
  Check(fields, name, request.SetFloat(name, value.value_or(1)));
}

// Greedy unless the body asks to sample, or has no parameters at all.
bool ReadSampling(Fields& fields, bool has_parameters, Request& request) {
  const auto temperature = fields.Number("temperature");
  bool samples = fields.Bool("do_sample").value_or(!has_parameters) || temperature.has_value();
  for (const char* name : {"top_k", "top_p", "typical_p"}) samples = samples || fields.Has(name);
  if (temperature.has_value() && *temperature <= 0)
    Refuse(fields, "temperature", "must be strictly positive");
  Check(fields, "temperature",
        request.SetFloat("temperature", samples ? temperature.value_or(1) : 0));
  ReadShare(fields, "top_p", request);
  ReadShare(fields, "typical_p", request);
  const auto top_k = fields.Int("top_k");
  if (top_k.has_value() && *top_k <= 0) Refuse(fields, "top_k", "must be strictly positive");
  Check(fields, "top_k", request.SetInt("top_k", top_k.value_or(0)));
  for (const auto& [name, neutral] : {std::pair("repetition_penalty", 1), {"frequency_penalty", 0}})
    Check(fields, name, request.SetFloat(name, fields.Number(name).value_or(neutral)));
  return samples;
}

// {"type": "json" | "json_object" | "regex" | "json_schema", "value": ...}
void ReadGrammar(Fields& fields, Request& request) {
  const json::object* grammar = fields.Object("grammar");
  if (grammar == nullptr) return;
  Fields inner(*grammar, std::string(kPath) + "grammar.");
  const auto type = inner.String("type");
  const json::value* value = inner.Find("value");
  if (type == "json_schema" && value != nullptr && value->is_object())
    value = value->get_object().if_contains("schema");
  if (!inner.ok()) return fields.Fail(*inner.error());
  if (value == nullptr) return Refuse(fields, "grammar", "has no value");
  if (type == "regex" && value->is_string()) {
    const json::string& regex = value->get_string();
    Check(fields, "grammar", request.SetString("structured_regex", {regex.data(), regex.size()}));
  } else if (type == "json" || type == "json_object" || type == "json_schema") {
    const std::string schema =
        value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
    Check(fields, "grammar", request.SetString("structured_json", schema));
  } else {
    Refuse(fields, "grammar",
           "is " + Show(*grammar) +
               ", expected type json, json_object, json_schema or regex, and a value");
  }
}

// The prompt; of its tokens only the last `truncate`, if that is set.
void ReadInputs(Fields& outer, Fields& fields, const Engine& engine, Request& request) {
  const auto inputs = outer.String("inputs");
  if (!inputs.has_value())
    return outer.Fail(InvalidField("inputs", "inputs is missing, expected a string"));
  const auto truncate = fields.Int("truncate");
  if (!truncate.has_value()) {
    const Status status = request.SetPrompt(*inputs);
    if (!status.ok()) outer.Fail(FromEngine(status, "inputs"));
    return;
  }
  if (*truncate <= 0) return Refuse(fields, "truncate", "must be strictly positive");
  if (inputs->size() > kMaxTruncatedBytes) {
    return Refuse(fields, "truncate",
                  "takes inputs of at most " + std::to_string(kMaxTruncatedBytes) +
                      " bytes, these have " + std::to_string(inputs->size()));
  }
  auto ids = engine.Tokenize(*inputs, /*add_special_tokens=*/true);
  if (!ids.ok()) return outer.Fail(FromEngine(ids.status(), "inputs"));
  const size_t kept = std::min(ids->size(), static_cast<size_t>(*truncate));
  ids->erase(ids->begin(), ids->end() - static_cast<std::ptrdiff_t>(kept));
  const Status status = request.SetPromptTokens(*ids);
  if (!status.ok()) outer.Fail(FromEngine(status, "inputs"));
}

void ReadStops(Fields& fields, Request& request) {
  if (const auto value = fields.Int("max_new_tokens")) {
    if (*value <= 0) return Refuse(fields, "max_new_tokens", "must be strictly positive");
    Check(fields, "max_new_tokens", request.SetInt("max_tokens", *value));
  }
  for (const std::string_view stop : fields.Strings("stop"))
    Check(fields, "stop", request.AddString("stop", stop));
  // The text ends with what ended it, but for the model's own end.
  Check(fields, "stop", request.SetInt("include_stop_str_in_output", 1));
}

void ReadBestOf(Fields& fields, const CallLimits& limits, bool samples, bool streams,
                Request& request) {
  const int64_t best_of = fields.Int("best_of").value_or(1);
  if (best_of <= 1) return;
  if (streams) return Refuse(fields, "best_of", "must be 1 in a stream");
  if (!samples) return Refuse(fields, "best_of", "must be 1 without sampling");
  if (fields.Has("seed")) return Refuse(fields, "seed", "must not be set when best_of > 1");
  if (limits.max_sequences >= 0 && best_of > limits.max_sequences) {
    return Refuse(fields, "best_of",
                  "is " + std::to_string(best_of) + ", expected at most " +
                      std::to_string(limits.max_sequences));
  }
  Check(fields, "best_of", request.SetInt("n", best_of));
}

// How many alternatives, and whether log-probabilities are wanted at all.
void ReadLogprobs(Fields& fields, const CallLimits& limits, bool streams, Request& request,
                  TgiAnswerOptions* options) {
  const auto top = fields.Int("top_n_tokens");
  if (top.has_value() && (*top < 0 || (limits.max_logprobs >= 0 && *top > limits.max_logprobs))) {
    return Refuse(fields, "top_n_tokens",
                  "is " + std::to_string(*top) + ", expected 0 to " +
                      std::to_string(limits.max_logprobs) + " (--max-logprobs)");
  }
  options->top_tokens = top.value_or(0) > 0;
  if (options->details || streams || fields.Int("best_of").value_or(1) > 1)
    Check(fields, "top_n_tokens", request.SetInt("logprobs", top.value_or(0)));
  if (!fields.Bool("decoder_input_details").value_or(false)) return;
  if (streams) return Refuse(fields, "decoder_input_details", "is not available in a stream");
  options->prefill = true;
  Check(fields, "decoder_input_details", request.SetInt("prompt_logprobs", 0));
}

MaybeError Parse(const json::object& body, const CallContext& context, bool streams, bool in_list,
                 Call* call) {
  Fields outer(body);
  const json::object* parameters = outer.Object("parameters");
  const json::object none;
  Fields fields(parameters == nullptr ? none : *parameters, std::string(kPath));
  Request request;
  TgiAnswerOptions options;
  options.in_list = in_list;
  options.details = fields.Bool("details").value_or(false);
  options.seed = fields.Int("seed");
  CheckNames(outer, kFields);
  CheckNames(fields, kParameters);
  call->unknown_fields = outer.unknown();
  call->unknown_fields.insert(call->unknown_fields.end(), fields.unknown().begin(),
                              fields.unknown().end());
  ReadInputs(outer, fields, context.engine, request);
  const bool samples = ReadSampling(fields, parameters != nullptr, request);
  ReadStops(fields, request);
  ReadGrammar(fields, request);
  ReadBestOf(fields, context.limits, samples, streams, request);
  ReadLogprobs(fields, context.limits, streams, request, &options);
  if (options.seed.has_value()) Check(fields, "seed", request.SetInt("seed", *options.seed));
  if (fields.Bool("return_full_text").value_or(false))
    options.prefix = outer.String("inputs").value_or("");
  if (!streams) Check(fields, "stream", request.SetInt("stream", 0));
  if (!outer.ok()) return outer.error();
  call->stream = streams;
  call->requests.push_back(std::move(request));
  call->answer = std::make_unique<TgiAnswer>(context.engine, std::move(options));
  return fields.error();
}

}  // namespace

MaybeError ParseTgiGenerate(const json::object& body, const CallContext& context, Call* call) {
  return Parse(body, context, /*streams=*/false, /*in_list=*/false, call);
}

MaybeError ParseTgiGenerateStream(const json::object& body, const CallContext& context,
                                  Call* call) {
  return Parse(body, context, /*streams=*/true, /*in_list=*/false, call);
}

bool IsTgiGenerate(const json::object& body) { return body.contains("inputs"); }

MaybeError ParseTgiRoot(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  const bool streams = fields.Bool("stream").value_or(false);
  if (!fields.ok()) return fields.error();
  return Parse(body, context, streams, /*in_list=*/!streams, call);
}

}  // namespace keel::apps
