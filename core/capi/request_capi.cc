// sdk/abi/engine.h: requests, parameter by parameter.
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "core/capi/handles.h"
#include "sdk/abi/engine.h"

namespace keel {
namespace {

template <typename Setter>
absl::Status Set(const std::map<std::string, Setter>& table, const char* kind, const char* name,
                 auto&&... args) {
  const auto it = table.find(name);
  if (it != table.end()) return it->second(std::forward<decltype(args)>(args)...);
  std::string known;
  for (const auto& [key, setter] : table) absl::StrAppend(&known, known.empty() ? "" : ", ", key);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown ", kind, " parameter '", name, "', expected one of ", known));
}

absl::Status InRange(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected ", low, " to ", high));
}

// The messages that a request carries; turns the prompt into them if it is something else.
ChatPrompt& Chat(Request& request) {
  if (!std::holds_alternative<ChatPrompt>(request.prompt)) request.prompt = ChatPrompt();
  return std::get<ChatPrompt>(request.prompt);
}

// A request has one grammar.
absl::Status SetGrammar(Request& request, GrammarSpec::Kind kind, std::string source) {
  if (request.has_grammar) {
    return absl::InvalidArgumentError(
        "two of structured_json, structured_json_object, structured_regex, structured_choice and "
        "structured_grammar are set, expected one");
  }
  request.has_grammar = true;
  request.grammar.kind = kind;
  request.grammar.source = std::move(source);
  return absl::OkStatus();
}

using IntSetter = absl::Status (*)(Request&, int64_t);
using FloatSetter = absl::Status (*)(Request&, double);
using StringSetter = absl::Status (*)(Request&, std::string);

constexpr int64_t kMaxInt32 = 2147483647;

const std::map<std::string, IntSetter>& IntSetters() {
  static const auto* table = new std::map<std::string, IntSetter>{
      {"max_tokens",
       [](Request& r, int64_t v) {
         r.max_tokens = v;
         return InRange("max_tokens", v, 0, kMaxInt32);
       }},
      {"min_tokens",
       [](Request& r, int64_t v) {
         r.sampling.min_tokens = v;
         return InRange("min_tokens", v, 0, kMaxInt32);
       }},
      {"n",
       [](Request& r, int64_t v) {
         r.n = v;
         return InRange("n", v, 1, 128);
       }},
      {"best_of",
       [](Request& r, int64_t v) {
         r.best_of = v;
         return InRange("best_of", v, 1, 128);
       }},
      {"beam_width",
       [](Request& r, int64_t v) {
         r.beam_width = v;
         return InRange("beam_width", v, 1, 32);
       }},
      {"early_stopping",
       [](Request& r, int64_t v) {
         r.early_stopping = v == 0   ? EarlyStopping::kHeuristic
                            : v == 1 ? EarlyStopping::kFull
                                     : EarlyStopping::kNever;
         return InRange("early_stopping", v, 0, 2);
       }},
      {"timeout_ms",
       [](Request& r, int64_t v) {
         r.timeout_ms = v;
         return InRange("timeout_ms", v, 1, kMaxInt32);
       }},
      {"structured_disable_any_whitespace",
       [](Request& r, int64_t v) {
         r.grammar.disable_any_whitespace = v != 0;
         return absl::OkStatus();
       }},
      {"structured_disable_additional_properties",
       [](Request& r, int64_t v) {
         r.grammar.disable_additional_properties = v != 0;
         return absl::OkStatus();
       }},
      {"seed",
       [](Request& r, int64_t v) {
         r.sampling.seed = v;
         return absl::OkStatus();
       }},
      {"top_k",
       [](Request& r, int64_t v) {
         r.sampling.top_k = v;
         return InRange("top_k", v, -1, kMaxInt32);
       }},
      {"logprobs",
       [](Request& r, int64_t v) {
         r.sampling.logprobs = v;
         return InRange("logprobs", v, -1, kMaxInt32);
       }},
      {"prompt_logprobs",
       [](Request& r, int64_t v) {
         r.sampling.prompt_logprobs = v;
         return InRange("prompt_logprobs", v, -1, kMaxInt32);
       }},
      {"priority",
       [](Request& r, int64_t v) {
         r.priority = static_cast<int32_t>(v);
         return InRange("priority", v, -kMaxInt32, kMaxInt32);
       }},
      {"ignore_eos",
       [](Request& r, int64_t v) {
         r.ignore_eos = v != 0;
         return absl::OkStatus();
       }},
      {"skip_special_tokens",
       [](Request& r, int64_t v) {
         r.skip_special_tokens = v != 0;
         return absl::OkStatus();
       }},
      {"include_stop_str_in_output",
       [](Request& r, int64_t v) {
         r.include_stop_str_in_output = v != 0;
         return absl::OkStatus();
       }},
      {"add_special_tokens",
       [](Request& r, int64_t v) {
         r.add_special_tokens = v != 0;
         return absl::OkStatus();
       }},
      {"add_generation_prompt",
       [](Request& r, int64_t v) {
         Chat(r).add_generation_prompt = v != 0;
         return absl::OkStatus();
       }},
      {"continue_final_message",
       [](Request& r, int64_t v) {
         Chat(r).continue_final_message = v != 0;
         return absl::OkStatus();
       }},
      {"stream",
       [](Request& r, int64_t v) {
         r.stream = v != 0;
         return absl::OkStatus();
       }},
  };
  return *table;
}

const std::map<std::string, FloatSetter>& FloatSetters() {
  static const auto* table = new std::map<std::string, FloatSetter>{
      {"length_penalty",
       [](Request& r, double v) {
         r.length_penalty = v;
         return std::isfinite(v) ? absl::OkStatus()
                                 : absl::InvalidArgumentError("length_penalty is not a number");
       }},
      {"temperature",
       [](Request& r, double v) {
         r.sampling.temperature = v;
         return absl::OkStatus();
       }},
      {"top_p",
       [](Request& r, double v) {
         r.sampling.top_p = v;
         return absl::OkStatus();
       }},
      {"min_p",
       [](Request& r, double v) {
         r.sampling.min_p = v;
         return absl::OkStatus();
       }},
      {"typical_p",
       [](Request& r, double v) {
         r.sampling.typical_p = v;
         return absl::OkStatus();
       }},
      {"repetition_penalty",
       [](Request& r, double v) {
         r.sampling.repetition_penalty = v;
         return absl::OkStatus();
       }},
      {"presence_penalty",
       [](Request& r, double v) {
         r.sampling.presence_penalty = v;
         return absl::OkStatus();
       }},
      {"frequency_penalty",
       [](Request& r, double v) {
         r.sampling.frequency_penalty = v;
         return absl::OkStatus();
       }},
  };
  return *table;
}

const std::map<std::string, StringSetter>& StringSetters() {
  static const auto* table = new std::map<std::string, StringSetter>{
      {"tools",
       [](Request& r, std::string v) {
         Chat(r).tools = std::move(v);
         return absl::OkStatus();
       }},
      {"chat_template_kwargs",
       [](Request& r, std::string v) {
         Chat(r).template_kwargs = std::move(v);
         return absl::OkStatus();
       }},
      {"documents",
       [](Request& r, std::string v) {
         Chat(r).documents = std::move(v);
         return absl::OkStatus();
       }},
      {"cache_salt",
       [](Request& r, std::string v) {
         r.cache_salt = std::move(v);
         return absl::OkStatus();
       }},
      {"request_id",
       [](Request& r, std::string v) {
         r.request_id = std::move(v);
         return absl::OkStatus();
       }},
      {"structured_json",
       [](Request& r, std::string v) {
         return SetGrammar(r, GrammarSpec::Kind::kJsonSchema, std::move(v));
       }},
      {"structured_json_object",
       [](Request& r, std::string v) {
         return SetGrammar(r, GrammarSpec::Kind::kJsonObject, std::move(v));
       }},
      {"structured_regex",
       [](Request& r, std::string v) {
         return SetGrammar(r, GrammarSpec::Kind::kRegex, std::move(v));
       }},
      {"structured_choice",
       [](Request& r, std::string v) {
         return SetGrammar(r, GrammarSpec::Kind::kChoice, std::move(v));
       }},
      {"structured_grammar",
       [](Request& r, std::string v) {
         return SetGrammar(r, GrammarSpec::Kind::kGrammar, std::move(v));
       }},
      {"structured_whitespace_pattern",
       [](Request& r, std::string v) {
         r.grammar.whitespace_pattern = std::move(v);
         return absl::OkStatus();
       }},
  };
  return *table;
}

const std::map<std::string, StringSetter>& StringAdders() {
  static const auto* table = new std::map<std::string, StringSetter>{
      {"stop",
       [](Request& r, std::string v) {
         r.stop.push_back(std::move(v));
         return absl::OkStatus();
       }},
      {"bad_words",
       [](Request& r, std::string v) {
         r.sampling.bad_words.push_back(std::move(v));
         return absl::OkStatus();
       }},
  };
  return *table;
}

const std::map<std::string, IntSetter>& IntAdders() {
  static const auto* table = new std::map<std::string, IntSetter>{
      {"stop_token_ids",
       [](Request& r, int64_t v) {
         r.stop_token_ids.push_back(static_cast<int32_t>(v));
         return InRange("stop_token_ids", v, 0, kMaxInt32);
       }},
      {"allowed_token_ids",
       [](Request& r, int64_t v) {
         r.sampling.allowed_token_ids.push_back(static_cast<int32_t>(v));
         return InRange("allowed_token_ids", v, 0, kMaxInt32);
       }},
  };
  return *table;
}

}  // namespace
}  // namespace keel

using keel::Guard;

extern "C" {

keel_status keel_request_new(keel_request** out) {
  return Guard([&] {
    *out = new keel_request;
    return absl::OkStatus();
  });
}

void keel_request_free(keel_request* request) { delete request; }

keel_status keel_request_set_prompt_text(keel_request* request, const char* text, size_t n) {
  return Guard([&] {
    request->request.prompt = std::string(text, n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_prompt_tokens(keel_request* request, const int32_t* ids, size_t n) {
  return Guard([&] {
    request->request.prompt = std::vector<int32_t>(ids, ids + n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_messages(keel_request* request, const char* json, size_t n) {
  return Guard([&] {
    keel::Chat(request->request).messages.assign(json, n);
    return absl::OkStatus();
  });
}

keel_status keel_request_set_int(keel_request* request, const char* name, int64_t value) {
  return Guard(
      [&] { return keel::Set(keel::IntSetters(), "integer", name, request->request, value); });
}

keel_status keel_request_set_float(keel_request* request, const char* name, double value) {
  return Guard(
      [&] { return keel::Set(keel::FloatSetters(), "number", name, request->request, value); });
}

keel_status keel_request_set_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  return Guard([&] {
    return keel::Set(keel::StringSetters(), "text", name, request->request, std::string(value, n));
  });
}

keel_status keel_request_add_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  return Guard([&] {
    return keel::Set(keel::StringAdders(), "text list", name, request->request,
                     std::string(value, n));
  });
}

keel_status keel_request_add_int(keel_request* request, const char* name, int64_t value) {
  return Guard(
      [&] { return keel::Set(keel::IntAdders(), "integer list", name, request->request, value); });
}

keel_status keel_request_add_logit_bias(keel_request* request, int32_t token, double bias) {
  return Guard([&] {
    request->request.sampling.logit_bias.emplace_back(token, bias);
    return absl::OkStatus();
  });
}

}  // extern "C"
