#include "apps/wire/openai/prompts.h"

#include <utility>

namespace keel::apps {
namespace json = boost::json;

std::vector<Prompt> ReadPrompts(Fields& fields, std::string_view field) {
  constexpr std::string_view kExpected =
      "a string, a list of token ids, or a list of one of these (not empty)";
  const std::string name(field);
  const json::value* value = fields.Find(field);
  if (value == nullptr) {
    fields.Fail(InvalidField(name, name + " is missing, expected " + std::string(kExpected)));
    return {};
  }
  if (const json::string* text = value->if_string()) return {std::string(*text)};
  const json::array* list = value->if_array();
  if (list == nullptr || list->empty()) {
    fields.FailType(field, *value, kExpected);
    return {};
  }
  if (list->front().is_number()) {
    auto ids = ReadTokenIds(*list);
    if (ids.has_value()) return {*std::move(ids)};
    fields.FailType(field, *value, "a list of token ids (whole numbers)");
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
