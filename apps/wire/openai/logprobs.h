// Log-probabilities in vLLM's form, and limits of what may be asked for.
#ifndef KEEL_APPS_WIRE_OPENAI_LOGPROBS_H_
#define KEEL_APPS_WIRE_OPENAI_LOGPROBS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "apps/wire/generation.h"
#include "apps/wire/token_texts.h"
#include "boost/json/array.hpp"

namespace keel::apps {

// How many alternatives the field `name` asks for; more than allowed is an error.
std::optional<int64_t> ReadNumLogprobs(Fields& fields, std::string_view name,
                                       const CallLimits& limits);

// "prompt_logprobs": null for the first token, then for each an object from token ids to {"logprob",
// "rank", "decoded_token"}, the likeliest first. The rank of a token that is not among them is null.
boost::json::array PromptLogprobs(const PromptTokens& prompt, TokenTexts& texts);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_LOGPROBS_H_
