// What stands behind the "?" of a target.
#ifndef KEEL_APPS_SERVER_QUERY_H_
#define KEEL_APPS_SERVER_QUERY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apps/wire/call_error.h"

namespace keel::apps {

// "%2F" is "/", and "+" stays; what is no code stays as it is.
std::string DecodePercent(std::string_view text);
// Of "limit=2&after=x", decoded.
std::optional<std::string> QueryValue(std::string_view query, std::string_view name);
// A number from `least` to `most`; `unset` if there is none.
MaybeError ReadQueryNumber(std::string_view query, const std::string& name, int64_t least,
                           int64_t most, int64_t unset, int64_t* value);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_QUERY_H_
