// The field "model": which of the served models a call is for.
#ifndef KEEL_APPS_WIRE_MODEL_FIELD_H_
#define KEEL_APPS_WIRE_MODEL_FIELD_H_

#include <string>
#include <vector>

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Sets `name` to the one of `names` (not empty) that the body asks for; to the first if it asks for
// none, or by a name that clients make up where nobody named a model.
MaybeError ReadModelName(const boost::json::object& body, const std::vector<std::string>& names,
                         std::string* name);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_MODEL_FIELD_H_
