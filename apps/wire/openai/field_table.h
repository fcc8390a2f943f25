// Every field of a body, for messages, checks and docs/server.md.
#ifndef KEEL_APPS_WIRE_OPENAI_FIELD_TABLE_H_
#define KEEL_APPS_WIRE_OPENAI_FIELD_TABLE_H_

#include <span>
#include <string_view>

#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"

namespace keel::apps {

enum class OpenAiEndpoint { kChat, kCompletions };

struct FieldInfo {
  using Use = KnownField::Use;

  std::string_view name;
  std::string_view type;
  std::string_view words;  // what it does; of a refused one, why
  bool chat = true, completions = true;
  Use use = Use::kServed;
};

std::span<const FieldInfo> OpenAiFields();

// Leaves an error in `fields` for a field that is refused, and for one that is none but looks like
// another one. What else nobody knows is noted there.
void CheckFieldNames(Fields& fields, OpenAiEndpoint endpoint);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_FIELD_TABLE_H_
