#include "apps/wire/prompts.h"

#include <utility>

namespace keel::apps {
namespace json = boost::json;

TextOrList ReadTextOrList(Fields& fields, std::string_view field, std::string_view expected) {
  const json::value* value = fields.Find(field);
  if (value == nullptr) {
    const std::string name(field);
    fields.Fail(InvalidField(name, name + " is missing, expected " + std::string(expected)));
    return {};
  }
  if (const json::string* text = value->if_string()) return {text, nullptr};
  const json::array* list = value->if_array();
  if (list == nullptr || list->empty()) {
    fields.FailType(field, *value, expected);
    return {};
  }
  return {nullptr, list};
}

std::vector<Prompt> ReadPrompts(Fields& fields, std::string_view field) {
  const auto [text, list] = ReadTextOrList(
      fields, field, "a string, a list of token ids, or a list of one of these (not empty)");
  if (text != nullptr) return {std::string(*text)};
  if (list == nullptr) return {};
  const std::string name(field);
  if (list->front().is_number()) {
    auto ids = ReadTokenIds(*list);
    if (ids.has_value()) return {*std::move(ids)};
    fields.FailType(field, *fields.Find(field), "a list of token ids (whole numbers)");
    return {};
  }
  std::vector<Prompt> prompts;
  for (const json::value& item : *list) {
    if (const json::string* text = item.if_string()) {
      prompts.emplace_back(std::string(*text));
      continue;
    }
    auto ids = item.is_array() ? ReadTokenIds(item.get_array()) : std::nullopt;
    if (!ids.has_value() || ids->empty()) {
      fields.FailType(name + "[" + std::to_string(prompts.size()) + "]", item,
                      "a string or a list of token ids");
      return {};
    }
    prompts.emplace_back(*std::move(ids));
  }
  return prompts;
}

Status SetPrompt(const Prompt& prompt, Request& request) {
  const std::string* text = std::get_if<std::string>(&prompt);
  return text != nullptr ? request.SetPrompt(*text)
                         : request.SetPromptTokens(std::get<std::vector<int32_t>>(prompt));
}

}  // namespace keel::apps
