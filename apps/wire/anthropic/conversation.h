// Anthropic's conversations in the form that chat templates take.
#ifndef KEEL_APPS_WIRE_ANTHROPIC_CONVERSATION_H_
#define KEEL_APPS_WIRE_ANTHROPIC_CONVERSATION_H_

#include "apps/wire/fields.h"
#include "boost/json/array.hpp"

namespace keel::apps {

// "system" and "messages" of a body. A message of blocks becomes one of text, tool_calls and
// reasoning_content, its images MediaParts; each tool_result a message of role tool, before the text
// that comes with it. Errors are left in `fields`.
boost::json::array ReadConversation(Fields& fields);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANTHROPIC_CONVERSATION_H_
