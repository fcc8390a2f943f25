// The wire format of POST /v1/responses.
#ifndef KEEL_APPS_WIRE_OPENAI_RESPONSES_H_
#define KEEL_APPS_WIRE_OPENAI_RESPONSES_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Reads a body into a valid call.
MaybeError ParseResponses(const boost::json::object& body, const CallContext& context, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_RESPONSES_H_
