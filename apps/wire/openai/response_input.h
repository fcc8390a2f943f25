// The input of POST /v1/responses in the form that chat templates take.
#ifndef KEEL_APPS_WIRE_OPENAI_RESPONSE_INPUT_H_
#define KEEL_APPS_WIRE_OPENAI_RESPONSE_INPUT_H_

#include "apps/wire/fields.h"
#include "boost/json/array.hpp"

namespace keel::apps {

// Appends "input", a text or a list of items, to `messages`. A function_call becomes a call of the
// assistant's message before it, a function_call_output a message of role tool, an image a MediaPart.
// Errors are left in `fields`.
void ReadResponseInput(Fields& fields, boost::json::array* messages);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_RESPONSE_INPUT_H_
