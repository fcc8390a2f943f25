// Group S and the part of L that a loader enforces itself: what it says of the file, by requirement.
#include "core/conformance/static_checks.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/conformance/subject.h"
#include "core/plugin/inspect.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/requirements.h"

namespace keel::conformance {
namespace {

// What `status` says about the requirement `number`.
Finding Judge(int number, const absl::Status& status) {
  if (status.ok()) return Pass();
  const std::vector<int> broken = BrokenRequirements(status.message());
  if (std::find(broken.begin(), broken.end(), number) != broken.end()) {
    return Fail(std::string(status.message()));
  }
  // A file that does not load for a reason of its own must not pass for want of a number.
  constexpr int kIsMapped = 29;
  if (broken.empty() && number == kIsMapped) return Fail(std::string(status.message()));
  if (broken.empty()) return Skip(std::string(status.message()));
  // The loader goes by number, and stops at the first.
  if (number < *std::min_element(broken.begin(), broken.end()) &&
      FindRequirement(number)->enforced == Requirement::Enforced::kLoad) {
    return Pass();
  }
  return Skip(absl::StrCat(
      "not looked at: the file breaks ",
      absl::StrJoin(broken, ", ", [](std::string* out, int n) { out->append(RequirementId(n)); })));
}

absl::Status Inspect(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPluginBytes);
  if (!bytes.ok()) return bytes.status();
  const auto* data = reinterpret_cast<const uint8_t*>(bytes->data());
  return InspectPlugin(absl::MakeConstSpan(data, bytes->size())).status();
}

}  // namespace

Finding CheckFile(const Subject& subject, int number) {
  return Judge(number, Inspect(subject.plugin));
}

Finding CheckLoading(const Subject& subject, int number) {
  return Judge(number, LoadPlugin(subject, Interfaces()).status());
}

}  // namespace keel::conformance
