#include "apps/wire/anthropic/anthropic.h"

#include "apps/wire/anthropic/error.h"
#include "apps/wire/anthropic/messages.h"

namespace keel::apps {

const Dialect& Anthropic() {
  static const Dialect dialect = {.name = "anthropic",
                                  .endpoints = {{.path = "/v1/messages", .parse = ParseMessages},
                                                {.path = "/v1/messages/count_tokens",
                                                 .parse = ParseCountTokens,
                                                 .waits = true}},
                                  .error_form = AnthropicErrorBody};
  return dialect;
}

}  // namespace keel::apps
