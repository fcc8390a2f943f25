// The tools of a body, and their calls in a conversation's earlier answers.
#ifndef KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_
#define KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_

#include <string>

#include "apps/wire/fields.h"
#include "apps/wire/tools.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// "auto", "none", "required", or a function by name.
ToolChoice ReadToolChoice(Fields& fields);
// Reads tools, tool_choice and parallel_tool_calls, sets them in `request`, and has the text taken apart.
ToolChoice ReadTools(Fields& fields, Request& request);

// Checks tool_calls of `message`, whose name in errors is `path` ("messages[1]."), and makes of them
// what chat templates take: arguments as an object, where the wire has them as its text.
void ReadToolCalls(Fields& fields, const std::string& path, boost::json::object* message);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_TOOL_CALLS_H_
