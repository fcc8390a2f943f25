// Anthropic's Messages protocol.
#ifndef KEEL_APPS_WIRE_ANTHROPIC_ANTHROPIC_H_
#define KEEL_APPS_WIRE_ANTHROPIC_ANTHROPIC_H_

#include "apps/wire/dialect.h"

namespace keel::apps {

// POST /v1/messages, POST /v1/messages/count_tokens.
const Dialect& Anthropic();

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANTHROPIC_ANTHROPIC_H_
