#include "core/base/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_stack.hpp>
#include <exception>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;
using json::error_code;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

absl::string_view ToAbsl(json::string_view s) { return {s.data(), s.size()}; }

// --- Python's NaN, Infinity and -Infinity -----------------------------------------------------

struct NonFinite {
  size_t offset;
  double number;
};

struct NonFiniteName {
  absl::string_view text;
  double number;
};

constexpr NonFiniteName kNonFiniteNames[] = {
    {"NaN", kNaN}, {"Infinity", kInfinity}, {"-Infinity", -kInfinity}};

const NonFiniteName* FindNonFiniteName(absl::string_view text) {
  for (const NonFiniteName& name : kNonFiniteNames) {
    if (text == name.text) return &name;
  }
  return nullptr;
}

// Boost.JSON has no such literals, so each becomes a string of the same length, which keeps
// offsets, and the handler turns the strings at these places into numbers. `text` is copied into
// `patched` only if there are any.
std::vector<NonFinite> PatchNonFinite(absl::string_view text, std::string& patched) {
  std::vector<NonFinite> found;
  if (!absl::StrContains(text, "NaN") && !absl::StrContains(text, "Infinity")) return found;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c != 'N' && c != 'I' && c != '-') continue;
    for (const NonFiniteName& name : kNonFiniteNames) {
      if (!absl::StartsWith(text.substr(i), name.text)) continue;
      const size_t length = name.text.size();
      const absl::string_view rest = absl::StripLeadingAsciiWhitespace(text.substr(i + length));
      if (absl::StartsWith(rest, ":")) break;  // As a key it stays the error it is.
      if (patched.empty()) patched = std::string(text);
      patched.replace(i, length, absl::StrCat("\"", std::string(length - 2, ' '), "\""));
      found.push_back({i, name.number});
      i += length - 1;
      break;
    }
  }
  return found;
}

// --- Parsing ------------------------------------------------------------------------------------

// Builds the value on a stack, as Boost's own parser does, and checks what that one does not.
class Handler {
 public:
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();

  Handler(const char* text, const std::vector<NonFinite>& non_finite, bool unique_keys)
      : text_(text), non_finite_(non_finite), unique_keys_(unique_keys) {}

  json::value Release() { return stack_.release(); }
  // Set if this handler, not the parser, refused the text.
  const std::string& problem() const { return problem_; }

  bool on_document_begin(error_code&) {
    stack_.reset();
    return true;
  }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    if (unique_keys_) keys_.emplace_back();
    return true;
  }
  bool on_object_end(size_t n, error_code&) {
    if (unique_keys_) keys_.pop_back();
    stack_.push_object(n);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(size_t n, error_code&) {
    stack_.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view s, size_t, error_code&) {
    if (unique_keys_) key_.append(s.data(), s.size());
    stack_.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, size_t, error_code& ec) {
    if (unique_keys_) {
      key_.append(s.data(), s.size());
      if (!keys_.back().insert(key_).second) {
        return Fail(absl::StrCat("the key \"", absl::CHexEscape(key_), "\" appears twice"), ec);
      }
      key_.clear();
    }
    stack_.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, size_t, error_code&) {
    stack_.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, size_t, error_code&) {
    if (const NonFinite* literal = FindPatched(s)) {
      stack_.push_double(literal->number);
    } else {
      stack_.push_string(s);
    }
    return true;
  }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(int64_t i, json::string_view, error_code&) {
    stack_.push_int64(i);
    return true;
  }
  bool on_uint64(uint64_t u, json::string_view, error_code&) {
    stack_.push_uint64(u);
    return true;
  }
  bool on_double(double d, json::string_view, error_code&) {
    stack_.push_double(d);
    return true;
  }
  bool on_bool(bool b, error_code&) {
    stack_.push_bool(b);
    return true;
  }
  bool on_null(error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  // A patched string has no escapes, and such strings are passed as they lie in the text.
  const NonFinite* FindPatched(json::string_view s) const {
    if (non_finite_.empty()) return nullptr;
    const uintptr_t quote = reinterpret_cast<uintptr_t>(s.data()) - 1;
    const auto address = [this](const NonFinite& n) {
      return reinterpret_cast<uintptr_t>(text_ + n.offset);
    };
    const auto it =
        std::lower_bound(non_finite_.begin(), non_finite_.end(), quote,
                         [&](const NonFinite& n, uintptr_t value) { return address(n) < value; });
    return it != non_finite_.end() && address(*it) == quote ? &*it : nullptr;
  }
  bool Fail(std::string problem, error_code& ec) {
    problem_ = std::move(problem);
    ec = json::make_error_code(json::error::syntax);
    return false;
  }

  const char* const text_;
  const std::vector<NonFinite>& non_finite_;
  const bool unique_keys_;
  json::value_stack stack_;
  std::vector<absl::flat_hash_set<std::string>> keys_;  // of the objects that are open
  std::string key_;
  std::string problem_;
};

using Parser = json::basic_parser<Handler>;

json::parse_options ParseOptions(const JsonLimits& limits) {
  json::parse_options options;
  options.max_depth = static_cast<size_t>(std::max(limits.max_depth, 0));
  return options;
}

// The byte at which parsing fails: Boost.JSON does not tell, so the text is fed again, first in
// chunks, then the chunk that fails byte by byte.
size_t FindErrorOffset(absl::string_view text, const JsonLimits& limits) {
  constexpr size_t kChunk = 4096;
  const std::vector<NonFinite> none;
  const auto feed = [&](size_t begin, size_t step) {
    Parser parser(ParseOptions(limits), text.data(), none, limits.unique_keys);
    error_code ec;
    if (begin > 0) parser.write_some(true, text.data(), begin, ec);
    while (begin < text.size()) {
      const size_t size = std::min(step, text.size() - begin);
      const size_t parsed = parser.write_some(true, text.data() + begin, size, ec);
      if (ec || parsed < size) return step == 1 ? begin : begin + (ec ? 0 : parsed);
      begin += size;
    }
    return begin;
  };
  const size_t chunk = feed(0, kChunk) / kChunk * kChunk;
  return feed(chunk, 1);
}

std::string Position(absl::string_view text, size_t offset) {
  const absl::string_view before = text.substr(0, offset);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = newline == absl::string_view::npos ? offset + 1 : offset - newline;
  return absl::StrCat(line, ":", column);
}

std::string Describe(error_code ec, absl::string_view text, const JsonLimits& limits) {
  if (ec == json::error::too_deep) {
    return absl::StrCat("nested deeper than ", limits.max_depth, " levels");
  }
  if (ec == json::error::incomplete && absl::StripAsciiWhitespace(text).empty()) {
    return "the text is empty";
  }
  if (ec == json::error::incomplete) return "the text ends in the middle of a value";
  if (ec == json::error::extra_data) return "more text after the end of the value";
  return ec.message();
}

// {"__float__": "Infinity"} and its kind, wherever they stand under `value`.
void ReplaceFloatObjects(json::value& value) {
  if (json::array* array = value.if_array()) {
    for (json::value& item : *array) ReplaceFloatObjects(item);
  } else if (json::object* object = value.if_object()) {
    const json::value* text = object->size() == 1 ? object->if_contains("__float__") : nullptr;
    if (text != nullptr && text->is_string()) {
      const NonFiniteName* name = FindNonFiniteName(ToAbsl(text->get_string()));
      if (name != nullptr) value = name->number;
      return;
    }
    for (auto& member : *object) ReplaceFloatObjects(member.value());
  }
}

// May throw std::bad_alloc or a length error.
absl::StatusOr<json::value> ParseOrThrow(absl::string_view text, absl::string_view where,
                                         const JsonLimits& limits) {
  std::string patched;
  const std::vector<NonFinite> non_finite = PatchNonFinite(text, patched);
  if (!non_finite.empty()) text = patched;

  Parser parser(ParseOptions(limits), text.data(), non_finite, limits.unique_keys);
  error_code ec;
  const size_t parsed = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && parsed < text.size()) ec = json::make_error_code(json::error::extra_data);
  if (ec) {
    const std::string& problem = parser.handler().problem();
    return absl::InvalidArgumentError(
        absl::StrCat(where, ":", Position(text, FindErrorOffset(text, limits)), ": ",
                     problem.empty() ? Describe(ec, text, limits) : problem));
  }
  json::value value = parser.handler().Release();
  if (absl::StrContains(text, "\"__float__\"")) ReplaceFloatObjects(value);
  return value;
}

// --- Typed lookups
// --------------------------------------------------------------------------------

// "/rope_scaling/factor" -> "rope_scaling.factor", as messages name a field.
std::string FieldName(absl::string_view pointer) {
  absl::ConsumePrefix(&pointer, "/");
  if (pointer.empty()) return "the document";
  return absl::StrReplaceAll(pointer, {{"/", "."}, {"~1", "/"}, {"~0", "~"}});
}

template <typename T>
constexpr const char* kExpected = nullptr;
template <>
constexpr const char* kExpected<bool> = "true or false";
template <>
constexpr const char* kExpected<int64_t> = "an integer";
template <>
constexpr const char* kExpected<double> = "a number";
template <>
constexpr const char* kExpected<std::string> = "a string";
template <>
constexpr const char* kExpected<const json::object*> = "an object";
template <>
constexpr const char* kExpected<const json::array*> = "an array";

std::optional<bool> Convert(const json::value& value, bool*) {
  return value.is_bool() ? std::optional(value.get_bool()) : std::nullopt;
}

std::optional<int64_t> Convert(const json::value& value, int64_t*) {
  return value.is_int64() ? std::optional(value.get_int64()) : std::nullopt;
}

std::optional<double> Convert(const json::value& value, double*) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return std::nullopt;
}

std::optional<std::string> Convert(const json::value& value, std::string*) {
  if (!value.is_string()) return std::nullopt;
  return std::string(value.get_string().data(), value.get_string().size());
}

std::optional<const json::object*> Convert(const json::value& value, const json::object**) {
  return value.is_object() ? std::optional(&value.get_object()) : std::nullopt;
}

std::optional<const json::array*> Convert(const json::value& value, const json::array**) {
  return value.is_array() ? std::optional(&value.get_array()) : std::nullopt;
}

absl::Status WrongType(const json::value& value, absl::string_view where, absl::string_view field,
                       absl::string_view expected) {
  if (value.is_null()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", field, " is null, expected ", expected));
  }
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", field, " is ", JsonSnippet(value),
                                                 " (", JsonKindName(value), "), expected ",
                                                 expected));
}

template <typename T>
absl::StatusOr<T> ConvertField(const json::value& value, absl::string_view where,
                               absl::string_view field, T*) {
  std::optional<T> converted = Convert(value, static_cast<T*>(nullptr));
  if (!converted.has_value()) return WrongType(value, where, field, kExpected<T>);
  return *std::move(converted);
}

template <typename T>
absl::StatusOr<std::vector<T>> ConvertField(const json::value& value, absl::string_view where,
                                            absl::string_view field, std::vector<T>*) {
  if (!value.is_array()) return WrongType(value, where, field, "an array");
  std::vector<T> items;
  for (const json::value& item : value.get_array()) {
    const std::string item_field = absl::StrCat(field, "[", items.size(), "]");
    KEEL_ASSIGN_OR_RETURN(T converted,
                          ConvertField(item, where, item_field, static_cast<T*>(nullptr)));
    items.push_back(std::move(converted));
  }
  return items;
}

}  // namespace

absl::StatusOr<json::value> ParseJson(absl::string_view text, absl::string_view where,
                                      const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(where, ": ", text.size(), " bytes of JSON, the limit is ", limits.max_bytes));
  }
  try {
    return ParseOrThrow(text, where, limits);
  } catch (const std::exception& e) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": ", e.what()));
  }
}

const json::value* FindJsonValue(const json::value& root, absl::string_view pointer) {
  error_code ec;
  return root.find_pointer(json::string_view(pointer.data(), pointer.size()), ec);
}

template <typename T>
absl::StatusOr<std::optional<T>> FindJson(const json::value& root, absl::string_view pointer,
                                          absl::string_view where) {
  const json::value* value = FindJsonValue(root, pointer);
  if (value == nullptr || value->is_null()) return std::optional<T>();
  KEEL_ASSIGN_OR_RETURN(T converted,
                        ConvertField(*value, where, FieldName(pointer), static_cast<T*>(nullptr)));
  return std::optional<T>(std::move(converted));
}

template <typename T>
absl::StatusOr<T> GetJson(const json::value& root, absl::string_view pointer,
                          absl::string_view where) {
  const json::value* value = FindJsonValue(root, pointer);
  if (value == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", FieldName(pointer), " is missing"));
  }
  return ConvertField(*value, where, FieldName(pointer), static_cast<T*>(nullptr));
}

#define KEEL_JSON_TYPE(T)                                                              \
  template absl::StatusOr<std::optional<T>> FindJson<T>(                               \
      const json::value&, absl::string_view pointer, absl::string_view where);         \
  template absl::StatusOr<T> GetJson<T>(const json::value&, absl::string_view pointer, \
                                        absl::string_view where)
KEEL_JSON_TYPE(bool);
KEEL_JSON_TYPE(int64_t);
KEEL_JSON_TYPE(double);
KEEL_JSON_TYPE(std::string);
KEEL_JSON_TYPE(std::vector<int64_t>);
KEEL_JSON_TYPE(std::vector<double>);
KEEL_JSON_TYPE(std::vector<std::string>);
KEEL_JSON_TYPE(const json::object*);
KEEL_JSON_TYPE(const json::array*);
#undef KEEL_JSON_TYPE

std::string JsonSnippet(const json::value& value) {
  constexpr size_t kMaxBytes = 40;
  if (value.is_array()) return value.get_array().empty() ? "[]" : "[...]";
  if (value.is_object()) return value.get_object().empty() ? "{}" : "{...}";
  if (!value.is_string()) return json::serialize(value);
  const absl::string_view text = ToAbsl(value.get_string());
  size_t size = std::min(text.size(), kMaxBytes);
  const bool cut = size < text.size();
  while (cut && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  const json::value start(json::string_view(text.data(), size));
  return absl::StrCat(json::serialize(start), cut ? "..." : "");
}

absl::string_view JsonKindName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
      return "an integer";
    case json::kind::uint64:
      return "an integer above 2^63";
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "unknown";
}

}  // namespace keel
