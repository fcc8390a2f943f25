#include "apps/wire/openai/openai.h"

#include "apps/wire/openai/chat.h"
#include "apps/wire/openai/completions.h"
#include "apps/wire/openai/error.h"

namespace keel::apps {

const Dialect& OpenAi() {
  static const Dialect dialect = {
      .name = "openai",
      .endpoints = {{"/v1/completions", ParseCompletions}, {"/v1/chat/completions", ParseChat}},
      .error_form = OpenAiErrorBody};
  return dialect;
}

}  // namespace keel::apps
