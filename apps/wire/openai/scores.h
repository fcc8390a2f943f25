// The wire formats of vLLM's POST /score, and of POST /rerank as Jina, Cohere and vLLM have it: how well
// texts fit each other. A cross-encoder (a classifier with one label) reads both together; of an
// embedding model it is the cosine between their vectors.
#ifndef KEEL_APPS_WIRE_OPENAI_SCORES_H_
#define KEEL_APPS_WIRE_OPENAI_SCORES_H_

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Each reads a body into a valid call.
MaybeError ParseScore(const boost::json::object& body, const CallContext& context, Call* call);
MaybeError ParseRerank(const boost::json::object& body, const CallContext& context, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_SCORES_H_
