#include "apps/wire/sglang/sampling_params.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "apps/wire/known_fields.h"
#include "apps/wire/request_fields.h"

namespace keel::apps {
namespace {

constexpr int64_t kDefaultMaxNewTokens = 128;
constexpr double kGreedyBelow = 1e-6;  // temperatures

constexpr KnownField Refused(std::string_view name, std::string_view why) {
  return {.name = name, .use = KnownField::Use::kRefused, .why = why};
}
constexpr KnownField Ignored(std::string_view name) {
  return {.name = name, .use = KnownField::Use::kIgnored};
}

constexpr KnownField kFields[] = {
    {"max_new_tokens"},
    {"min_new_tokens"},
    {"n"},
    {"stop"},
    {"stop_token_ids"},
    {"no_stop_trim"},
    {"ignore_eos"},
    {"skip_special_tokens"},
    {"temperature"},
    {"top_p"},
    {"top_k"},
    {"min_p"},
    {"frequency_penalty"},
    {"presence_penalty"},
    {"repetition_penalty"},
    {"logit_bias"},
    {"sampling_seed"},
    {"json_schema"},
    {"regex"},
    {"ebnf"},
    Refused("beam_width", "beam search is served by /v1/completions (use_beam_search)"),
    Refused("custom_params", "custom logit processors are not served"),
    Refused("stop_regex", "stop_regex is not served; use stop"),
    Refused("structural_tag", "structural tags are not served; use ebnf"),
    Refused("watermark", "watermarks are not served"),
    // Of other servers.
    Refused("max_tokens", "use max_new_tokens"),
    Refused("min_tokens", "use min_new_tokens"),
    Refused("seed", "use sampling_seed"),
    Ignored("spaces_between_special_tokens"),
    Ignored("stream_interval"),
};

void ReadStops(Fields& params, Request& request) {
  SetInt(params, request, "max_new_tokens", "max_tokens",
         params.Int("max_new_tokens").value_or(kDefaultMaxNewTokens));
  if (const auto value = params.Int("min_new_tokens"))
    SetInt(params, request, "min_new_tokens", "min_tokens", *value);
  for (const std::string_view stop : params.Strings("stop"))
    CheckSet(params, "stop", request.AddString("stop", stop));
  for (const int32_t id : params.TokenIds("stop_token_ids"))
    CheckSet(params, "stop_token_ids", request.AddInt("stop_token_ids", id));
  for (const auto& [field, name] : {std::pair("no_stop_trim", "include_stop_str_in_output"),
                                    {"ignore_eos", "ignore_eos"},
                                    {"skip_special_tokens", "skip_special_tokens"}}) {
    if (const auto value = params.Bool(field)) SetInt(params, request, field, name, *value ? 1 : 0);
  }
}

void ReadDraws(Fields& params, Request& request) {
  const double temperature = params.Number("temperature").value_or(1);
  const bool is_greedy = temperature >= 0 && temperature < kGreedyBelow;
  CheckSet(params, "temperature", request.SetFloat("temperature", is_greedy ? 0 : temperature));
  for (const auto& [name, neutral] : {std::pair("top_p", 1),
                                      {"min_p", 0},
                                      {"frequency_penalty", 0},
                                      {"presence_penalty", 0},
                                      {"repetition_penalty", 1}}) {
    CheckSet(params, name, request.SetFloat(name, params.Number(name).value_or(neutral)));
  }
  CheckSet(params, "temperature", request.SetFloat("typical_p", 1));
  const int64_t top_k = params.Int("top_k").value_or(-1);
  if (top_k == 0 || top_k < -1) {
    params.Fail(InvalidField(
        params.path() + "top_k",
        params.path() + "top_k is " + std::to_string(top_k) + ", expected -1 (all) or at least 1"));
  }
  SetInt(params, request, "top_k", "top_k", std::max<int64_t>(top_k, 0));
  if (const auto seed = params.Int("sampling_seed"))
    SetInt(params, request, "sampling_seed", "seed", *seed);
  ReadLogitBias(params, "logit_bias", request);
}

// Texts all; an empty one is none.
void ReadGrammar(Fields& params, Request& request) {
  int given = 0;
  for (const auto& [field, name] : {std::pair("json_schema", "structured_json"),
                                    {"regex", "structured_regex"},
                                    {"ebnf", "structured_grammar"}}) {
    const std::string_view value = params.String(field).value_or("");
    if (value.empty()) continue;
    if (++given > 1) {
      return params.Fail(InvalidField(params.path() + field,
                                      "only one of json_schema, regex and ebnf can be set"));
    }
    const bool is_any = std::string_view(field) == "json_schema" && value == "$$ANY$$";
    CheckSet(params, field,
             request.SetString(is_any ? "structured_json_object" : name, is_any ? "true" : value));
  }
}

}  // namespace

int64_t ReadSglangSamplingParams(Fields& params, Request& request) {
  CheckNames(params, kFields);
  ReadStops(params, request);
  ReadDraws(params, request);
  ReadGrammar(params, request);
  const int64_t n = params.Int("n").value_or(1);
  SetInt(params, request, "n", "n", n);
  return n;
}

}  // namespace keel::apps
