// The wire format of SGLang's POST /generate.
#ifndef KEEL_APPS_WIRE_SGLANG_GENERATE_H_
#define KEEL_APPS_WIRE_SGLANG_GENERATE_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Reads a body into a valid call.
MaybeError ParseSglangGenerate(const boost::json::object& body, const CallContext& context,
                               Call* call);
// It has one of the fields that only SGLang's bodies have.
bool IsSglangGenerate(const boost::json::object& body);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_SGLANG_GENERATE_H_
