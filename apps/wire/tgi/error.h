// Errors in text-generation-inference's form.
#ifndef KEEL_APPS_WIRE_TGI_ERROR_H_
#define KEEL_APPS_WIRE_TGI_ERROR_H_

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// {"error", "error_type"}
boost::json::object TgiError(const CallError& error);
// The same as a client gets it: 422 for what is wrong, 429 for what is too much now, 424 for what failed.
ErrorBody TgiErrorBody(const CallError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TGI_ERROR_H_
