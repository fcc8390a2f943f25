// Prompts of a body: one or several, as text or as token ids.
#ifndef KEEL_APPS_WIRE_PROMPTS_H_
#define KEEL_APPS_WIRE_PROMPTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apps/wire/fields.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// A required field that is a text or a list of things; `expected` says which.
struct TextOrList {
  const boost::json::string* text = nullptr;
  const boost::json::array* list =
      nullptr;  // not empty; null for a text, and both if it is refused
};
TextOrList ReadTextOrList(Fields& fields, std::string_view field, std::string_view expected);

using Prompt = std::variant<std::string, std::vector<int32_t>>;

// A string, a list of strings, a list of ids, or a list of lists of ids.
std::vector<Prompt> ReadPrompts(Fields& fields, std::string_view field);
Status SetPrompt(const Prompt& prompt, Request& request);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_PROMPTS_H_
