// The wire format of POST /v1/messages and POST /v1/messages/count_tokens.
#ifndef KEEL_APPS_WIRE_ANTHROPIC_MESSAGES_H_
#define KEEL_APPS_WIRE_ANTHROPIC_MESSAGES_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Each reads a body into a valid call.
MaybeError ParseMessages(const boost::json::object& body, const CallContext& context, Call* call);
// How many tokens the prompt of such a body has: {"input_tokens"}. Runs nothing.
MaybeError ParseCountTokens(const boost::json::object& body, const CallContext& context,
                            Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANTHROPIC_MESSAGES_H_
