// The wire format of vLLM's POST /classify: what a classifier makes of each text.
#ifndef KEEL_APPS_WIRE_OPENAI_CLASSIFY_H_
#define KEEL_APPS_WIRE_OPENAI_CLASSIFY_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Reads a body into a valid call.
MaybeError ParseClassify(const boost::json::object& body, const CallContext& context, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_CLASSIFY_H_
