#include "core/config/config_view.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/json.h"

namespace keel {
namespace {

namespace json = boost::json;

// The value at one path "a/b/3" below `object`, or null.
const json::value* FindPath(const json::object& object, absl::string_view path) {
  const json::object* at = &object;
  const json::value* found = nullptr;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (found != nullptr) {
      if (const json::array* array = found->if_array()) {
        size_t index = 0;
        if (!absl::SimpleAtoi(part, &index) || index >= array->size()) return nullptr;
        found = &(*array)[index];
        continue;
      }
      at = found->if_object();
      if (at == nullptr) return nullptr;
    }
    found = at->if_contains(std::string_view(part.data(), part.size()));
    if (found == nullptr) return nullptr;
  }
  return found;
}

// The first of the alternatives "a/b|c" that is there. Null where nothing, or JSON null, is.
const json::value* Find(const keel_config* config, const char* key) {
  if (key == nullptr) {
    config->document->Fail(*config, "", "was asked for with a key that is NULL, expected a name");
    return nullptr;
  }
  const json::value* found = nullptr;
  for (absl::string_view path : absl::StrSplit(key, '|')) {
    config->document->Asked(*config, path);
    const json::value* value = FindPath(*config->object, path);
    if (found == nullptr && value != nullptr && !value->is_null()) found = value;
  }
  return found;
}

bool IsNull(const keel_config* config, const char* key) {
  for (absl::string_view path : absl::StrSplit(key, '|')) {
    const json::value* value = FindPath(*config->object, path);
    if (value != nullptr && value->is_null()) return true;
  }
  return false;
}

void Expected(const keel_config* config, const char* key, const json::value* found,
              absl::string_view expected) {
  if (key == nullptr) return;  // Find has said so
  config->document->Fail(*config, key,
                         found == nullptr
                             ? absl::StrCat("is missing, expected ", expected)
                             : absl::StrCat("is ", JsonSnippet(*found), " (", JsonKindName(*found),
                                            "), expected ", expected));
}

uint32_t Kind(keel_config* config, const char* key) {
  const json::value* value = Find(config, key);
  if (value == nullptr && (key == nullptr || !IsNull(config, key))) return KEEL_JSON_ABSENT;
  if (value == nullptr) return KEEL_JSON_NULL;
  switch (value->kind()) {
    case json::kind::null:
      return KEEL_JSON_NULL;
    case json::kind::bool_:
      return KEEL_JSON_BOOL;
    case json::kind::int64:
    case json::kind::uint64:
      return KEEL_JSON_INT;
    case json::kind::double_:
      return KEEL_JSON_REAL;
    case json::kind::string:
      return KEEL_JSON_STRING;
    case json::kind::array:
      return KEEL_JSON_ARRAY;
    case json::kind::object:
      return KEEL_JSON_OBJECT;
  }
  return KEEL_JSON_ABSENT;
}

int64_t GetInt(keel_config* config, const char* key, int32_t required, int64_t dflt) {
  const json::value* value = Find(config, key);
  if (value != nullptr && value->is_int64()) return value->get_int64();
  // Some files write whole numbers as 1e4 or 4096.0.
  if (value != nullptr && value->is_double() &&
      std::trunc(value->get_double()) == value->get_double() &&
      std::abs(value->get_double()) < 9e15) {
    return static_cast<int64_t>(value->get_double());
  }
  if (value != nullptr || required) Expected(config, key, value, "an integer");
  return dflt;
}

double GetReal(keel_config* config, const char* key, int32_t required, double dflt) {
  const json::value* value = Find(config, key);
  if (value != nullptr && value->is_number()) return value->to_number<double>();
  if (value != nullptr || required) Expected(config, key, value, "a number");
  return dflt;
}

int32_t GetBool(keel_config* config, const char* key, int32_t required, int32_t dflt) {
  const json::value* value = Find(config, key);
  if (value != nullptr && value->is_bool()) return value->get_bool() ? 1 : 0;
  if (value != nullptr || required) Expected(config, key, value, "true or false");
  return dflt;
}

keel_str GetString(keel_config* config, const char* key, int32_t required, const char* dflt) {
  const json::value* value = Find(config, key);
  if (value != nullptr && value->is_string()) {
    return {value->get_string().data(), value->get_string().size()};
  }
  if (value != nullptr || required) Expected(config, key, value, "a string");
  return dflt == nullptr ? keel_str{"", 0} : keel_str{dflt, std::char_traits<char>::length(dflt)};
}

size_t Size(keel_config* config, const char* key) {
  const json::value* value = Find(config, key);
  if (value == nullptr) return 0;
  if (value->is_array()) return value->get_array().size();
  if (value->is_object()) return value->get_object().size();
  Expected(config, key, value, "an array or an object");
  return 0;
}

keel_config* Child(keel_config* config, const char* key) {
  const json::value* value = Find(config, key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    Expected(config, key, value, "an object");
    return nullptr;
  }
  return config->document->AddView(
      &value->get_object(),
      absl::StrCat(config->path, absl::StrReplaceAll(key, {{"/", "."}}), "."));
}

void FailWith(keel_config* config, const char* key, const char* message, size_t n) {
  config->document->Fail(*config, key == nullptr ? "" : key,
                         message == nullptr ? "failed" : absl::string_view(message, n));
}

keel_status GetStatus(const keel_config* config) {
  return static_cast<keel_status>(config->document->code());
}

keel_str Key(keel_config* config, const char* key, size_t index) {
  const json::object* object = config->object;
  if (key == nullptr || *key != '\0') {
    const json::value* value = Find(config, key);
    if (value == nullptr) return {"", 0};
    object = value->if_object();
    if (object == nullptr) {
      Expected(config, key, value, "an object");
      return {"", 0};
    }
  }
  if (index >= object->size()) return {"", 0};
  const std::string_view name = (object->begin() + index)->key();
  return {name.data(), name.size()};
}

}  // namespace

ConfigDocument::ConfigDocument(const boost::json::value& root, std::string where)
    : where_(std::move(where)), root_(AddView(&root.as_object(), "")) {}

absl::StatusCode ConfigDocument::code() const {
  absl::MutexLock lock(&mutex_);
  return status_.code();
}

void ConfigDocument::Fail(const keel_config& view, absl::string_view key,
                          absl::string_view message) {
  absl::MutexLock lock(&mutex_);
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(
      absl::StrCat(where_, ": ", view.path, absl::StrReplaceAll(key, {{"/", "."}, {"|", " (or "}}),
                   std::string(std::count(key.begin(), key.end(), '|'), ')'), " ", message));
}

void ConfigDocument::Asked(const keel_config& view, absl::string_view path) {
  absl::MutexLock lock(&mutex_);
  asked_.insert(absl::StrCat(view.path, path.substr(0, path.find('/'))));
}

keel_config* ConfigDocument::AddView(const boost::json::object* object, std::string path) {
  absl::MutexLock lock(&mutex_);
  views_.push_back({this, object, std::move(path)});
  return &views_.back();
}

const keel_config_api& ConfigApi() {
  static const keel_config_api api = {sizeof(keel_config_api),
                                      0,
                                      Kind,
                                      GetInt,
                                      GetReal,
                                      GetBool,
                                      GetString,
                                      Size,
                                      Child,
                                      FailWith,
                                      GetStatus,
                                      Key};
  return api;
}

}  // namespace keel
