// Which names a body's fields may have, so that a misspelt one is not ignored.
#ifndef KEEL_APPS_WIRE_KNOWN_FIELDS_H_
#define KEEL_APPS_WIRE_KNOWN_FIELDS_H_

#include <span>
#include <string_view>

#include "apps/wire/fields.h"

namespace keel::apps {

struct KnownField {
  enum class Use {
    kServed,
    kRefused,  // other servers serve it; refused, so that nobody gets something else than asked for
    kIgnored,  // taken, without effect
  };

  std::string_view name;
  Use use = Use::kServed;
  std::string_view why = {};  // of a refused one
};

constexpr KnownField RefusedField(std::string_view name, std::string_view why) {
  return {.name = name, .use = KnownField::Use::kRefused, .why = why};
}
constexpr KnownField IgnoredField(std::string_view name) {
  return {.name = name, .use = KnownField::Use::kIgnored};
}

// Leaves an error in `fields` for a field that is refused (unless it is false or null), and for one that
// is not known but looks like a served one. What else nobody knows is noted there.
void CheckNames(Fields& fields, std::span<const KnownField> known);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_KNOWN_FIELDS_H_
