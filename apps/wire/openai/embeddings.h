// The wire formats of POST /v1/embeddings and of vLLM's POST /pooling: a vector for each text.
#ifndef KEEL_APPS_WIRE_OPENAI_EMBEDDINGS_H_
#define KEEL_APPS_WIRE_OPENAI_EMBEDDINGS_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Each reads a body into a valid call. /pooling takes the task too, whatever it is that the model does.
MaybeError ParseEmbeddings(const boost::json::object& body, const CallContext& context, Call* call);
MaybeError ParsePooling(const boost::json::object& body, const CallContext& context, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_EMBEDDINGS_H_
