// The calls of tools in a conversation's earlier answers.
#ifndef KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_
#define KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_

#include <string>

#include "apps/wire/fields.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Checks tool_calls of `message`, whose name in errors is `path` ("messages[1]."), and makes of them
// what chat templates take: arguments as an object, where the wire has them as its text.
void ReadToolCalls(Fields& fields, const std::string& path, boost::json::object* message);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_
