#include "core/conformance/mutations.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace keel::conformance {
namespace {

namespace json = boost::json;

constexpr int kMaxDepth = 3;
constexpr size_t kLongText = 1 << 20;

// A value in a config: its RFC 6901 pointer.
using Place = std::string;

void AddPlaces(const json::value& value, const Place& here, int depth, std::vector<Place>& out) {
  if (!here.empty()) out.push_back(here);
  if (depth == kMaxDepth) return;
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, child] : *object) {
      const std::string name(key.data(), key.size());
      AddPlaces(child,
                absl::StrCat(here, "/", absl::StrReplaceAll(name, {{"~", "~0"}, {"/", "~1"}})),
                depth + 1, out);
    }
  } else if (const json::array* array = value.if_array(); array != nullptr && !array->empty()) {
    AddPlaces(array->front(), absl::StrCat(here, "/0"), depth + 1, out);
  }
}

std::vector<Place> PlacesIn(const json::value& config) {
  std::vector<Place> out;
  AddPlaces(config, "", 0, out);
  return out;
}

// Null where an earlier change took the place away.
json::value* At(json::value& config, const Place& place) {
  json::error_code error;
  return config.find_pointer(std::string_view(place), error);
}

struct Other {
  const char* name;
  json::value value;
};

std::vector<Other> OtherValues(const json::value& value) {
  std::vector<Other> out;
  const auto add = [&](const char* name, json::value other) {
    out.push_back({name, std::move(other)});
  };
  add("null", json::value(nullptr));
  add("true", json::value(true));
  add("0", json::value(0));
  add("-1", json::value(-1));
  add("3", json::value(3));
  add("2^28", json::value(int64_t{1} << 28));
  add("2^40", json::value(int64_t{1} << 40));
  add("2^62", json::value(int64_t{1} << 62));
  add("2^64 - 1", json::value(UINT64_MAX));
  add("0.5", json::value(0.5));
  add("1e300", json::value(1e300));
  add("an empty text", json::value(""));
  add("a text", json::value("none"));
  add("a text of 1 MiB", json::value(std::string(kLongText, 'x')));
  add("an empty list", json::array());
  add("a list of 1000 numbers", json::array(1000, json::value(7)));
  add("an empty object", json::object());
  if (value.is_int64()) {
    const auto n = static_cast<uint64_t>(value.get_int64());
    add("one more", json::value(static_cast<int64_t>(n + 1)));
    add("a thousand times as much", json::value(static_cast<int64_t>(n * 1000)));
  }
  return out;
}

// "rope_parameters.rope_theta".
std::string Name(const Place& place) {
  return absl::StrReplaceAll(place.substr(1), {{"/", "."}, {"~1", "/"}, {"~0", "~"}});
}

}  // namespace

std::vector<Mutation> WithoutEachKey(const json::value& config) {
  std::vector<Mutation> out;
  for (const Place& place : PlacesIn(config)) {
    const size_t slash = place.rfind('/');
    json::value changed = config;
    json::value* parent = slash == 0 ? &changed : At(changed, place.substr(0, slash));
    json::object* object = parent == nullptr ? nullptr : parent->if_object();
    if (object == nullptr) continue;
    object->erase(absl::StrReplaceAll(place.substr(slash + 1), {{"~1", "/"}, {"~0", "~"}}));
    out.push_back({absl::StrCat("without ", Name(place)), std::move(changed)});
  }
  return out;
}

std::vector<Mutation> WithOtherValues(const json::value& config, size_t index) {
  std::vector<Mutation> out;
  const std::vector<Place> places = PlacesIn(config);
  if (index >= places.size()) return out;
  const Place& place = places[index];
  json::value original = config;
  for (Other& other : OtherValues(*At(original, place))) {
    json::value changed = config;
    *At(changed, place) = std::move(other.value);
    out.push_back({absl::StrCat(Name(place), " is ", other.name), std::move(changed)});
  }
  return out;
}

std::vector<Mutation> WithTrueAtEachPlace(const json::value& config) {
  std::vector<Mutation> out;
  for (const Place& place : PlacesIn(config)) {
    json::value changed = config;
    *At(changed, place) = true;
    out.push_back({absl::StrCat(Name(place), " is true"), std::move(changed)});
  }
  return out;
}

Mutation Mutate(const json::value& config, std::mt19937_64& random) {
  std::vector<Place> places = PlacesIn(config);
  std::shuffle(places.begin(), places.end(), random);
  places.resize(std::min<size_t>(places.size(), 2 + random() % 3));
  Mutation out{"", config};
  for (const Place& place : places) {
    json::value* value = At(out.config, place);
    if (value == nullptr) continue;
    std::vector<Other> others = OtherValues(*value);
    Other& other = others[random() % others.size()];
    *value = std::move(other.value);
    absl::StrAppend(&out.what, out.what.empty() ? "" : ", ", Name(place), " is ", other.name);
  }
  return out;
}

}  // namespace keel::conformance
