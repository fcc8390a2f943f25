#include "apps/wire/anthropic/anthropic.h"

#include "apps/wire/anthropic/error.h"
#include "apps/wire/anthropic/messages.h"

namespace keel::apps {

const Dialect& Anthropic() {
  static const Dialect dialect = {.name = "anthropic",
                                  .endpoints = {{"/v1/messages", ParseMessages},
                                                {"/v1/messages/count_tokens", ParseCountTokens}},
                                  .error_form = AnthropicErrorBody};
  return dialect;
}

}  // namespace keel::apps
