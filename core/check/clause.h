// A clause of the contract between a checkpoint, its implementation and the host: a row of a table
// (clauses.cc), a function, a code that never changes its meaning. docs/check.md lists them.
#ifndef KEEL_CORE_CHECK_CLAUSE_H_
#define KEEL_CORE_CHECK_CLAUSE_H_

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/check/inspection.h"

namespace keel {

enum class Verdict {
  kPass,
  kWarn,  // it is served, but perhaps not as it was meant
  kFail,
  kSkip,  // a clause that it rests on failed
};
// "pass", "warn", "fail", "skip".
const char* VerdictName(Verdict verdict);

// What came of a clause. Lower case, no full stop, as error messages are.
struct Finding {
  Verdict verdict = Verdict::kPass;
  std::string found;
  std::string remedy = {};                // what to do; "" where nothing is to be done
  std::vector<std::string> details = {};  // what `found` is made of, a line a part
};

inline Finding Pass(std::string found, std::vector<std::string> details = {}) {
  return {Verdict::kPass, std::move(found), "", std::move(details)};
}
inline Finding Warn(std::string found, std::string remedy, std::vector<std::string> details = {}) {
  return {Verdict::kWarn, std::move(found), std::move(remedy), std::move(details)};
}
inline Finding Fail(std::string found, std::string remedy, std::vector<std::string> details = {}) {
  return {Verdict::kFail, std::move(found), std::move(remedy), std::move(details)};
}
inline Finding Fail(const absl::Status& status, std::string remedy) {
  return Fail(std::string(status.message()), std::move(remedy));
}

struct Clause {
  int code;                  // nnn of KEEL-CHK-nnn; its hundreds are a group
  const char* title;         // what holds where it passes
  std::array<int, 2> needs;  // codes of earlier clauses that it rests on; 0: none
  Finding (*check)(Inspection&);
};

// In the order in which they are checked.
absl::Span<const Clause> Clauses();

// "KEEL-CHK-101".
std::string ClauseCode(int code);

}  // namespace keel
#endif  // KEEL_CORE_CHECK_CLAUSE_H_
