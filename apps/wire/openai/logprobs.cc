#include "apps/wire/openai/logprobs.h"

#include <string>

#include "boost/json/object.hpp"

namespace keel::apps {
namespace json = boost::json;

std::optional<int64_t> ReadNumLogprobs(Fields& fields, std::string_view name,
                                       const CallLimits& limits) {
  const std::optional<int64_t> n = fields.Int(name);
  const bool is_fine =
      !n.has_value() || limits.max_logprobs < 0 || (*n >= 0 && *n <= limits.max_logprobs);
  if (!is_fine) {
    fields.Fail(InvalidField(std::string(name),
                             std::string(name) + " is " + std::to_string(*n) + ", expected 0 to " +
                                 std::to_string(limits.max_logprobs) + " (--max-logprobs)"));
  }
  return n;
}

json::array PromptLogprobs(const PromptTokens& prompt, TokenTexts& texts) {
  json::array all;
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    if (i >= prompt.logprobs.size() || !prompt.logprobs[i].has_value()) {
      all.emplace_back(nullptr);
      continue;
    }
    const OwnedLogprob& logprob = *prompt.logprobs[i];
    json::object& of_one = all.emplace_back(json::object()).get_object();
    const auto add = [&](int32_t token, float value, json::value rank) {
      of_one.emplace(std::to_string(token), json::object{{"logprob", FiniteLogprob(value)},
                                                         {"rank", std::move(rank)},
                                                         {"decoded_token", texts.Text(token)}});
    };
    for (size_t k = 0; k < logprob.top_tokens.size(); ++k) {
      add(logprob.top_tokens[k], logprob.top_logprobs[k], k + 1);
    }
    add(prompt.ids[i], logprob.logprob, nullptr);  // unless it is one of them
  }
  return all;
}

}  // namespace keel::apps
