#include "apps/server/unknown_fields.h"

#include <algorithm>
#include <cstddef>

#include "apps/wire/fields.h"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {
namespace {

constexpr size_t kMaxNames = 10, kMaxName = 64;

// As a header may have it.
std::string Printable(const std::string& name) {
  std::string text = name.substr(0, kMaxName);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

std::string UnknownFieldsWarning(const std::vector<std::string>& names) {
  if (names.empty()) return "";
  std::string warning = "fields that are not known were ignored: ";
  for (size_t i = 0; i < std::min(names.size(), kMaxNames); ++i) {
    warning += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  if (names.size() > kMaxNames) {
    warning += " and " + std::to_string(names.size() - kMaxNames) + " more";
  }
  return warning;
}

MaybeError RefuseUnknownFields(const std::vector<std::string>& names) {
  if (names.empty()) return std::nullopt;
  return InvalidField(names.front(), "there is no field " + Quote(names.front()) +
                                         ", and --strict takes only what is known");
}

void AddWarning(const std::string& warning, std::string* body) {
  if (warning.empty() || !body->starts_with('{') || !body->ends_with('}')) return;
  body->pop_back();
  *body += (body->size() == 1 ? "" : ",") +
           ("\"warnings\":[" + boost::json::serialize(boost::json::value(warning))) + "]}";
}

}  // namespace keel::apps
