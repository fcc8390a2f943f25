// What a client is told of fields of its body that nobody reads.
#ifndef KEEL_APPS_SERVER_UNKNOWN_FIELDS_H_
#define KEEL_APPS_SERVER_UNKNOWN_FIELDS_H_

#include <string>
#include <vector>

#include "apps/wire/call_error.h"

namespace keel::apps {

// "fields that are not known were ignored: foo, bar"; "" if there are none. Fit for a header.
std::string UnknownFieldsWarning(const std::vector<std::string>& names);

// Refuses the first of them, as --strict does; none: nullopt.
MaybeError RefuseUnknownFields(const std::vector<std::string>& names);

// Adds "warnings": ["..."] to `body` if that is a JSON object; else it stays as it is.
void AddWarning(const std::string& warning, std::string* body);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_UNKNOWN_FIELDS_H_
