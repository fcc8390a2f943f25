// Runs calls to their end, for tests of wire formats.
#ifndef KEEL_APPS_WIRE_RUN_CALL_H_
#define KEEL_APPS_WIRE_RUN_CALL_H_

#include <string>
#include <vector>

#include "apps/wire/call.h"
#include "boost/json/value.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// The response of a call that is not streamed; null if the engine refused it.
boost::json::value RunCall(Engine& engine, Call call);
// The data of each event of a streamed call; "[DONE]" is a string.
std::vector<boost::json::value> StreamCall(Engine& engine, Call call);
// The data of server-sent events.
std::vector<boost::json::value> ParseEvents(const std::string& events);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_RUN_CALL_H_
