// The wire format of POST /generate and POST /generate_stream.
#ifndef KEEL_APPS_WIRE_TGI_GENERATE_H_
#define KEEL_APPS_WIRE_TGI_GENERATE_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Each reads a body into a valid call.
MaybeError ParseTgiGenerate(const boost::json::object& body, const CallContext& context,
                            Call* call);
MaybeError ParseTgiGenerateStream(const boost::json::object& body, const CallContext& context,
                                  Call* call);
// It has "inputs".
bool IsTgiGenerate(const boost::json::object& body);
// Either, by "stream"; what is not streamed comes in a list of one.
MaybeError ParseTgiRoot(const boost::json::object& body, const CallContext& context, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TGI_GENERATE_H_
