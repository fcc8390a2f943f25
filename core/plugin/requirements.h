// What a plugin must keep, numbered once for the header, the loader, the conformance kit and
// docs/plugin-requirements.md, whose tables a test compares with this one.
#ifndef KEEL_CORE_PLUGIN_REQUIREMENTS_H_
#define KEEL_CORE_PLUGIN_REQUIREMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

struct Requirement {
  enum class Level { kMust, kShould };
  // Who refuses a plugin that breaks it.
  enum class Enforced {
    kFile,  // the loader, from the bytes of the file: nothing of it has run
    kLoad,  // the loader, once the file is mapped
    kKit,   // nobody but the conformance kit (core/conformance)
  };

  int number;  // never given to another; a loader's number is smaller than those of later steps
  char group;
  Level level;
  Enforced enforced;
  const char* text;         // what the plugin does
  const char* consequence;  // of a plugin that doesn't
};

// By number.
absl::Span<const Requirement> Requirements();
// Null: there is none of this number.
const Requirement* FindRequirement(int number);

struct RequirementGroup {
  char letter;
  const char* title;
};
// In the order of Requirements().
absl::Span<const RequirementGroup> RequirementGroups();

// "KEEL-PLG-007".
std::string RequirementId(int number);

// `what` is wrong and breaks the requirement: "what [KEEL-PLG-007]". Of a status, its message; OK
// stays OK, and what names a requirement already stays as it is.
std::string Breaks(int number, absl::string_view what);
absl::Status Breaks(int number, const absl::Status& status);

// The requirements that a message names, in its order.
std::vector<int> BrokenRequirements(absl::string_view message);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_REQUIREMENTS_H_
