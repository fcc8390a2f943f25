// Parts of the content of OpenAI's chat messages.
#ifndef KEEL_APPS_WIRE_OPENAI_CONTENT_PARTS_H_
#define KEEL_APPS_WIRE_OPENAI_CONTENT_PARTS_H_

#include "apps/wire/fields.h"
#include "boost/json/value.hpp"

namespace keel::apps {

// The field "content" of a message: a text, or parts, texts as they came and media as MediaPart
// (apps/wire/media_parts.h). Errors are left in `message`.
boost::json::value ReadContent(Fields& message, const boost::json::value& content);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_CONTENT_PARTS_H_
