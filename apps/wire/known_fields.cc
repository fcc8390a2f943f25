#include "apps/wire/known_fields.h"

#include <algorithm>
#include <string>
#include <vector>

#include "apps/common/nearest.h"

namespace keel::apps {

void CheckNames(Fields& fields, std::span<const KnownField> known) {
  for (const std::string_view name : fields.Names()) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const KnownField& field) { return field.name == name; });
    const std::string path = fields.path() + std::string(name);
    if (found != known.end()) {
      const auto* value = fields.Find(name);
      const bool is_off = value == nullptr || (value->is_bool() && !value->get_bool());
      if (found->use == KnownField::Use::kRefused && !is_off)
        fields.Fail(NotServed(path, std::string(found->why)));
      continue;
    }
    std::vector<std::string> names;
    for (const KnownField& field : known) {
      if (field.use == KnownField::Use::kServed) names.emplace_back(field.name);
    }
    // Only what is hardly another word.
    const size_t distance = name.size() < 6 ? 1 : 2;
    if (const std::string near = Nearest(std::string(name), names, distance); !near.empty()) {
      fields.Fail(InvalidField(
          path, "there is no field " + Quote(path) + "; did you mean '" + near + "'?"));
    } else {
      fields.AddUnknown(path);
    }
  }
}

}  // namespace keel::apps
