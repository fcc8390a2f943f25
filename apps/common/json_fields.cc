#include "apps/common/json_fields.h"

#include <utility>

#include "boost/json/parse.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {
namespace json = boost::json;

json::object ParseObject(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  return value.is_object() ? std::move(value.get_object()) : json::object();
}

std::string TextField(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

int64_t NumberField(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace keel::apps
