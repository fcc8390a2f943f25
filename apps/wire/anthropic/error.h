// Errors in Anthropic's form.
#ifndef KEEL_APPS_WIRE_ANTHROPIC_ERROR_H_
#define KEEL_APPS_WIRE_ANTHROPIC_ERROR_H_

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// {"type": "error", "error": {"type", "message"}}, also of an event.
boost::json::object AnthropicError(const CallError& error);
ErrorBody AnthropicErrorBody(const CallError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANTHROPIC_ERROR_H_
