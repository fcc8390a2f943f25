// Errors in OpenAI's form.
#ifndef KEEL_APPS_WIRE_OPENAI_ERROR_H_
#define KEEL_APPS_WIRE_OPENAI_ERROR_H_

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// {"error": {"message", "type", "param", "code"}}
boost::json::object OpenAiError(const CallError& error);
// The same as a client gets it.
ErrorBody OpenAiErrorBody(const CallError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_ERROR_H_
