// JSON from outside (configs, indexes, requests): Boost.JSON with limits, positions in its errors
// and the two spellings of non-finite numbers that Python writes.
#ifndef KEEL_CORE_BASE_JSON_H_
#define KEEL_CORE_BASE_JSON_H_

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

struct JsonLimits {
  size_t max_bytes = 64 << 20;
  int max_depth = 64;
  // Refuse an object that names a key twice; else the last one holds, as in Python.
  bool unique_keys = false;
};

// Parses one JSON document. `where` (a file name, "request body") begins every error, then line and
// column:
//   config.json:3:17: syntax error
// Beside standard JSON it takes NaN, Infinity and -Infinity, and turns {"__float__": "Infinity"}
// (also "-Infinity", "NaN"; transformers 5 writes these) into a number.
absl::StatusOr<boost::json::value> ParseJson(absl::string_view text, absl::string_view where,
                                             const JsonLimits& limits = {});

// The value at `pointer` (RFC 6901: "/rope_scaling/factor", "" is the root); null if nothing is
// there.
const boost::json::value* FindJsonValue(const boost::json::value& root, absl::string_view pointer);

// The value at `pointer` as a T, or nullopt if it is absent or null. A value of another type is an
// error that says what was found:
//   config.json: rope_scaling.factor is "four" (a string), expected a number
// T is bool, int64_t, double (integers too), std::string, std::vector of int64_t, double or
// std::string, const boost::json::object* or const boost::json::array* (both point into `root`).
template <typename T>
absl::StatusOr<std::optional<T>> FindJson(const boost::json::value& root, absl::string_view pointer,
                                          absl::string_view where);

// The same for a value that must be there.
template <typename T>
absl::StatusOr<T> GetJson(const boost::json::value& root, absl::string_view pointer,
                          absl::string_view where);

// `value` for a message: scalars as JSON text (long strings cut), "[...]", "{...}"; and its kind,
// "a string".
std::string JsonSnippet(const boost::json::value& value);
absl::string_view JsonKindName(const boost::json::value& value);

}  // namespace keel

#endif  // KEEL_CORE_BASE_JSON_H_
