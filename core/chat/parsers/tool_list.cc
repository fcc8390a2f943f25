#include "core/chat/parsers/tool_list.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error_detail.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

absl::Status Refuse(absl::string_view words) {
  return WithField(absl::InvalidArgumentError(words), "tools");
}

}  // namespace

absl::StatusOr<ToolList> ToolList::Parse(absl::string_view text) {
  ToolList out;
  if (text.empty()) return out;
  absl::StatusOr<json::value> tools = ParseJson(text, "tools");
  if (!tools.ok()) return WithField(tools.status(), "tools");
  const json::array* list = tools->if_array();
  if (list == nullptr) return Refuse("tools is no list");
  for (size_t i = 0; i < list->size(); ++i) {
    const json::object* tool = (*list)[i].if_object();
    if (tool == nullptr) return Refuse(absl::StrCat("tools[", i, "] is no object"));
    if (const json::value* inner = tool->if_contains("function");
        inner != nullptr && inner->is_object()) {
      tool = &inner->get_object();
    }
    const json::value* name = tool->if_contains("name");
    if (name == nullptr || !name->is_string() || name->get_string().empty()) {
      return Refuse(absl::StrCat("tools[", i,
                                 "] has no name, expected {\"type\": \"function\", "
                                 "\"function\": {\"name\": ..., \"parameters\": {...}}}"));
    }
    const json::value* schema = tool->if_contains("parameters");
    out.parameters_[std::string(name->get_string())] = schema != nullptr && schema->is_object()
                                                           ? schema->get_object()
                                                           : json::object({{"type", "object"}});
  }
  return out;
}

bool ToolList::IsString(absl::string_view name, absl::string_view parameter) const {
  const auto it = parameters_.find(std::string(name));
  if (it == parameters_.end()) return false;
  const json::value* properties = it->second.if_contains("properties");
  if (properties == nullptr || !properties->is_object()) return false;
  const json::value* schema =
      properties->get_object().if_contains(json::string_view(parameter.data(), parameter.size()));
  if (schema == nullptr || !schema->is_object()) return false;
  const json::value* type = schema->get_object().if_contains("type");
  return type != nullptr && type->is_string() && type->get_string() == "string";
}

absl::StatusOr<std::string> ToolList::ArgumentsSchema(absl::string_view name) const {
  const auto it = parameters_.find(std::string(name));
  if (it != parameters_.end()) return json::serialize(it->second);
  std::vector<std::string> names;
  for (const auto& [known, schema] : parameters_) names.push_back(known);
  return WithField(absl::InvalidArgumentError(
                       absl::StrCat("tool_choice names '", name,
                                    "', which is none of the tools: ", absl::StrJoin(names, ", "))),
                   "tool_choice");
}

std::string ToolList::CallsSchema(int most) const {
  json::array calls;
  json::object definitions;
  for (const auto& [name, schema] : parameters_) {
    json::object parameters = schema;
    // Definitions are looked for at the root.
    for (const char* key : {"$defs", "definitions"}) {
      const json::value* found = parameters.if_contains(key);
      if (found == nullptr || !found->is_object()) continue;
      json::object& all = definitions[key].is_object() ? definitions[key].get_object()
                                                       : definitions[key].emplace_object();
      for (const auto& [word, definition] : found->get_object()) all[word] = definition;
      parameters.erase(key);
    }
    const json::object properties = {{"name", {{"enum", json::array({json::string(name)})}}},
                                     {"parameters", std::move(parameters)}};
    calls.push_back({{"type", "object"},
                     {"properties", properties},
                     {"required", json::array({"name", "parameters"})},
                     {"additionalProperties", false}});
  }
  json::object schema = {
      {"type", "array"}, {"minItems", 1}, {"items", {{"anyOf", std::move(calls)}}}};
  if (most > 0) schema["maxItems"] = most;
  for (auto& [key, value] : definitions) schema[key] = std::move(value);
  return json::serialize(schema);
}

}  // namespace keel
