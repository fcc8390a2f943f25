#include "apps/bench/prompts.h"

#include <algorithm>

namespace keel::apps {

Prompt Prompts::Next(size_t tokens) {
  Prompt prompt(tokens);
  std::generate(prompt.begin(), prompt.end(), [this] { return ids_(random_); });
  return prompt;
}

Result<Request> MakeRequest(const Ask& ask) {
  Request request;
  for (const Status& status : {
           request.SetPromptTokens(ask.prompt),
           ask.new_tokens > 0 ? request.SetInt("max_tokens", static_cast<int64_t>(ask.new_tokens))
                              : Status(),
           request.SetInt("ignore_eos", 1),
           request.SetInt("stream", ask.stream ? 1 : 0),
           request.SetFloat("temperature", 0),
           // Some models' own defaults have one.
           request.SetFloat("repetition_penalty", 1),
           // Tokens without text give no output of their own, and so no time.
           request.SetInt("skip_special_tokens", 0),
       }) {
    if (!status.ok()) return status;
  }
  if (!ask.cache_salt.empty()) {
    if (Status status = request.SetString("cache_salt", ask.cache_salt); !status.ok()) {
      return status;
    }
  }
  return request;
}

}  // namespace keel::apps
