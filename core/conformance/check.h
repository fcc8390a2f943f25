// A check of one requirement (core/plugin/requirements.h): what it is given and what it finds.
#ifndef KEEL_CORE_CONFORMANCE_CHECK_H_
#define KEEL_CORE_CONFORMANCE_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel::conformance {

enum class Outcome {
  kPass,
  kFail,
  kWarn,   // broke a requirement that is a SHOULD
  kCrash,  // the process of the check died, or did not end in time
  kSkip,   // could not be looked at
};
// "pass", "fail" ...
absl::string_view OutcomeName(Outcome outcome);
std::optional<Outcome> OutcomeFromName(absl::string_view name);

struct Finding {
  Outcome outcome = Outcome::kPass;
  std::string message;  // what was found; may be empty for a pass
};
inline Finding Pass(std::string message = "") { return {Outcome::kPass, std::move(message)}; }
inline Finding Fail(std::string message) { return {Outcome::kFail, std::move(message)}; }
inline Finding Skip(std::string message) { return {Outcome::kSkip, std::move(message)}; }

// What is validated.
struct Subject {
  std::string plugin;  // the file
  std::vector<std::string> configs =
      {};             // directories with a config.json, of models of this plugin
  uint64_t seed = 1;  // of what is drawn at random
};

struct Check {
  int number;  // of the requirement
  // May crash, hang or leave the process changed: it has a process of its own.
  Finding (*run)(const Subject&);
};

// Those that need no tensor library. By number.
absl::Span<const Check> Checks();

// Says on stdout what is tried next, so that a crash can be told by its last words. One line.
void Trying(absl::string_view what);
// The line that Trying writes begins with this.
inline constexpr absl::string_view kTrying = "keel-validate: trying ";

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_CHECK_H_
