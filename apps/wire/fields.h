// Typed reading of a JSON object's fields, with errors that name the field.
#ifndef KEEL_APPS_WIRE_FIELDS_H_
#define KEEL_APPS_WIRE_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {

// Reads fields by name and keeps the first error; after one, getters return nothing, so that a
// caller reads everything and checks once. A field that is null counts as absent. Results point into
// the object, which must outlive them.
//
//   temperature is "hot" (a string), expected a number
class Fields {
 public:
  // `path` goes before field names in messages: "messages[2].".
  explicit Fields(const boost::json::object& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  const boost::json::value* Find(std::string_view name) const;
  // What goes before field names: "messages[2].".
  const std::string& path() const { return path_; }
  // Of all fields, also those that are null.
  std::vector<std::string_view> Names() const;

  std::optional<int64_t> Int(std::string_view name);  // also 3.0
  std::optional<double> Number(std::string_view name);
  std::optional<bool> Bool(std::string_view name);
  std::optional<std::string_view> String(std::string_view name);
  const boost::json::object* Object(std::string_view name);
  const boost::json::array* Array(std::string_view name);
  // A string, or a list of strings.
  std::vector<std::string_view> Strings(std::string_view name);
  // A list of token ids.
  std::vector<int32_t> TokenIds(std::string_view name);

  void Fail(CallError error);
  // "<name> is <value> (a <kind>), expected <expected>"
  void FailType(std::string_view name, const boost::json::value& value, std::string_view expected);

  // Names, with their paths, that CheckNames did not know.
  void AddUnknown(std::string path) { unknown_.push_back(std::move(path)); }
  const std::vector<std::string>& unknown() const { return unknown_; }

  bool ok() const { return !error_.has_value(); }
  const MaybeError& error() const { return error_; }

 private:
  const boost::json::object& object_;
  std::string path_;
  std::vector<std::string> unknown_;
  MaybeError error_;
};

// The engine's refusal of a call: its field is one of the body's, or none.
CallError RefusedCall(const Status& status, const boost::json::object& body);
// Token ids of a list, or nothing if one is no 32-bit integer.
std::optional<std::vector<int32_t>> ReadTokenIds(const boost::json::array& array);
// `value` as JSON of at most ~100 characters, with its kind: `"hot" (a string)`.
std::string Show(const boost::json::value& value);
// The same of a text, in single quotes and without its kind: `'gpt-4'`.
std::string Quote(std::string_view text);
// The body of a call; an error says where it is no JSON object. `what` is what messages call it.
MaybeError ParseBody(std::string_view text, boost::json::value* body,
                     std::string_view what = "the body");

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_FIELDS_H_
