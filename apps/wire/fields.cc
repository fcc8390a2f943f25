#include "apps/wire/fields.h"

#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "apps/common/utf8.h"
#include "boost/json/memory_resource.hpp"
#include "boost/json/monotonic_resource.hpp"
#include "boost/json/parser.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kFirstBytes = 1024;  // of a body's values
constexpr size_t kShownBytes = 100;   // of a text

std::string_view Kind(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
    default:
      return "a number";
  }
}

// A body takes a few times its own size as values, and no more, whatever it is.
size_t MostBytes(std::string_view body) { return (16 << 20) + 4 * body.size(); }

// Gives at most `*left` bytes.
class BoundedMemory : public json::memory_resource {
 public:
  explicit BoundedMemory(std::shared_ptr<size_t> left) : left_(std::move(left)) {}

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    if (bytes > *left_) throw std::bad_alloc();
    *left_ -= bytes;
    return ::operator new(bytes, std::align_val_t(alignment));
  }
  void do_deallocate(void* memory, size_t bytes, size_t alignment) override {
    *left_ += bytes;
    // Not by its size: monotonic_resource of Boost 1.81 leaves out its own header there.
    ::operator delete(memory, std::align_val_t(alignment));
  }
  bool do_is_equal(const json::memory_resource& other) const noexcept override {
    return this == &other;
  }

  const std::shared_ptr<size_t> left_;
};

std::optional<int64_t> ToInt(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return std::nullopt;
  const double number = value.get_double();
  if (std::trunc(number) != number || std::abs(number) > 9e15) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

std::string Show(const json::value& value) {
  std::string text;
  if (value.is_array() || value.is_object()) {
    // Not serialized: it may be a megabyte.
    const size_t size = value.is_array() ? value.get_array().size() : value.get_object().size();
    return std::string(Kind(value)) + " of " + std::to_string(size);
  }
  if (value.is_string()) {
    const std::string_view whole(value.get_string().data(), value.get_string().size());
    const std::string_view shown = Beginning(whole, kShownBytes);
    text = json::serialize(json::string(shown.data(), shown.size()));
    if (shown.size() < whole.size()) text += "...";
  } else if (value.is_double()) {
    char digits[32];  // "1.5", where serialize says "1.5E0"
    text.assign(digits, std::to_chars(digits, std::end(digits), value.get_double()).ptr);
  } else {
    text = json::serialize(value);
  }
  if (value.is_null()) return text;
  return text + " (" + std::string(Kind(value)) + ")";
}

std::string Quote(std::string_view text) {
  const std::string_view shown = Beginning(text, kShownBytes);
  return "'" + ToUtf8(shown) + (shown.size() < text.size() ? "..." : "") + "'";
}

const json::value* Fields::Find(std::string_view name) const {
  const json::value* value = object_.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::vector<std::string_view> Fields::Names() const {
  std::vector<std::string_view> names;
  for (const auto& field : object_) names.emplace_back(field.key().data(), field.key().size());
  return names;
}

void Fields::Fail(CallError error) {
  if (!error_.has_value()) error_ = std::move(error);
}

void Fields::FailType(std::string_view name, const json::value& value, std::string_view expected) {
  const std::string path = path_ + std::string(name);
  Fail(InvalidField(path, path + " is " + Show(value) + ", expected " + std::string(expected)));
}

std::optional<int64_t> Fields::Int(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = ToInt(*value);
  if (!number.has_value()) FailType(name, *value, "a whole number");
  return number;
}

std::optional<double> Fields::Number(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    FailType(name, *value, "a number");
    return std::nullopt;
  }
  return value->to_number<double>();
}

std::optional<bool> Fields::Bool(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) {
    FailType(name, *value, "true or false");
    return std::nullopt;
  }
  return value->get_bool();
}

std::optional<std::string_view> Fields::String(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    FailType(name, *value, "a string");
    return std::nullopt;
  }
  return std::string_view(value->get_string().data(), value->get_string().size());
}

const json::object* Fields::Object(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) FailType(name, *value, "an object");
  return value->if_object();
}

const json::array* Fields::Array(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) FailType(name, *value, "a list");
  return value->if_array();
}

std::vector<std::string_view> Fields::Strings(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return {};
  if (const json::string* one = value->if_string()) return {{one->data(), one->size()}};
  std::vector<std::string_view> all;
  const json::array* list = value->if_array();
  if (list == nullptr) {
    FailType(name, *value, "a string or a list of strings");
    return {};
  }
  for (const json::value& item : *list) {
    if (!item.is_string()) {
      FailType(std::string(name) + "[" + std::to_string(all.size()) + "]", item, "a string");
      return {};
    }
    all.emplace_back(item.get_string().data(), item.get_string().size());
  }
  return all;
}

std::vector<int32_t> Fields::TokenIds(std::string_view name) {
  const json::array* list = Array(name);
  if (list == nullptr) return {};
  std::optional<std::vector<int32_t>> ids = ReadTokenIds(*list);
  if (!ids.has_value()) FailType(name, *list, "a list of token ids (whole numbers)");
  return std::move(ids).value_or(std::vector<int32_t>());
}

CallError RefusedCall(const Status& status, const json::object& body) {
  CallError error = FromEngine(status);
  // Of "messages[0].content[1]" the first name.
  if (!body.contains(error.field.substr(0, error.field.find_first_of("[.")))) error.field.clear();
  return error;
}

std::optional<std::vector<int32_t>> ReadTokenIds(const json::array& array) {
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const json::value& item : array) {
    const std::optional<int64_t> id = ToInt(item);
    if (!id.has_value() || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      return std::nullopt;
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

MaybeError ParseBody(std::string_view text, json::value* body, std::string_view what) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code error;
  size_t read = 0;
  try {
    json::parser parser(
        json::make_shared_resource<BoundedMemory>(std::make_shared<size_t>(MostBytes(text))),
        options);
    // All values lie together and go together, so that memory goes back to the system.
    const auto left = std::make_shared<size_t>(MostBytes(text));
    parser.reset(json::make_shared_resource<json::monotonic_resource>(
        kFirstBytes, json::make_shared_resource<BoundedMemory>(left)));
    read = parser.write_some(text.data(), text.size(), error);
    if (!error) {
      // Not assigned: that would copy them.
      std::destroy_at(body);
      std::construct_at(body, parser.release());
      // What readers copy of it lies beside it and is not counted.
      *left = std::numeric_limits<size_t>::max() / 2;
    }
  } catch (const std::bad_alloc&) {
    return InvalidField("", std::string(what) + " holds too many values for its " +
                                std::to_string(text.size()) + " bytes");
  }
  const size_t rest = error ? std::string_view::npos : text.find_first_not_of(" \t\r\n", read);
  if (rest != std::string_view::npos) error = json::error::extra_data;
  if (error) {
    return InvalidField("", std::string(what) + " is no valid JSON: " + error.message() +
                                " near byte " + std::to_string(read));
  }
  if (!body->is_object()) {
    return InvalidField("", std::string(what) + " is " + Show(*body) + ", expected a JSON object");
  }
  return std::nullopt;
}

}  // namespace keel::apps
