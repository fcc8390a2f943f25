// The JSON that the engine answers with, read leniently: what is absent, or of another kind, is empty.
#ifndef KEEL_APPS_COMMON_JSON_FIELDS_H_
#define KEEL_APPS_COMMON_JSON_FIELDS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "boost/json/object.hpp"

namespace keel::apps {

// An empty one if `text` is no JSON object.
boost::json::object ParseObject(std::string_view text);
std::string TextField(const boost::json::object& object, std::string_view key);
int64_t NumberField(const boost::json::object& object, std::string_view key);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_JSON_FIELDS_H_
