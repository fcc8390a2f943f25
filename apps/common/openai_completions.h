// The wire format of POST /v1/completions.
#ifndef KEEL_APPS_COMMON_OPENAI_COMPLETIONS_H_
#define KEEL_APPS_COMMON_OPENAI_COMPLETIONS_H_

#include "apps/common/answer.h"
#include "apps/common/api_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Reads a body into a valid call. `engine` must outlive the call: texts of tokens come from it.
MaybeError ParseCompletions(const boost::json::object& body, const ServedModel& model,
                            const Engine& engine, Call* call);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_OPENAI_COMPLETIONS_H_
