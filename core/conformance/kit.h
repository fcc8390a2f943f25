// The conformance kit: every requirement of plugins, checked on one plugin.
#ifndef KEEL_CORE_CONFORMANCE_KIT_H_
#define KEEL_CORE_CONFORMANCE_KIT_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/conformance/check.h"
#include "core/plugin/requirements.h"

namespace keel::conformance {

struct Result {
  const Requirement* requirement = nullptr;
  Finding finding;
  absl::Duration took;
  std::string waiver;  // why a failure does not count; "": it does

  // Whether the plugin breaks the requirement, and nobody waived it.
  bool counts_as_failure() const {
    return waiver.empty() &&
           (finding.outcome == Outcome::kFail || finding.outcome == Outcome::kCrash);
  }
};

// Requirement number -> why it is waived.
using Waivers = std::map<int, std::string>;
// Lines "KEEL-PLG-050 reason"; blank ones and those that begin with # are none. `where` begins
// errors: a line without a reason, a number that there is not.
absl::StatusOr<Waivers> ParseWaivers(absl::string_view text, absl::string_view where);

struct KitOptions {
  Subject subject;
  std::string groups;                        // letters; "": all
  std::string numbers_program;               // see NumericProgram; "": those checks are skipped
  absl::Duration limit = absl::Seconds(30);  // of one check
  int jobs = 1;
  bool in_process = false;  // no processes, no limits: for a debugger
  Waivers waivers;
  // Called in no order, one at a time, as results come. May be null.
  std::function<void(const Result& result, int done, int total)> on_result;
};

// One result a requirement of the groups, by number. Each check runs in a process of this program,
// whose main must begin with RunAsWorker(Checks(), ...); those that need a tensor library in one of
// `numbers_program`.
std::vector<Result> Validate(const KitOptions& options);

// keel-validate-numbers beside this program or in its runfiles; "" if it is nowhere.
std::string NumericProgram();

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_KIT_H_
