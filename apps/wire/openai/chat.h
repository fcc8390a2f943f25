// The wire format of POST /v1/chat/completions.
#ifndef KEEL_APPS_WIRE_OPENAI_CHAT_H_
#define KEEL_APPS_WIRE_OPENAI_CHAT_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Reads a body into a valid call.
MaybeError ParseChat(const boost::json::object& body, const CallContext& context, Call* call);
// The same; of a stream each chunk has the role, and null for what is not in it.
MaybeError ParseFullChunksChat(const boost::json::object& body, const CallContext& context,
                               Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_CHAT_H_
