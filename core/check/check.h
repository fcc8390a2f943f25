// Whether a model can be served, clause by clause, before any weight is read: config, headers and
// the plugin's recording are enough.
#ifndef KEEL_CORE_CHECK_CHECK_H_
#define KEEL_CORE_CHECK_CHECK_H_

#include <string>
#include <vector>

#include "core/check/clause.h"
#include "core/check/inspection.h"

namespace keel {

struct CheckedClause {
  const Clause* clause;
  Finding finding;
};

struct CheckReport {
  std::string model;  // as the user said it
  std::string dir;    // "" if it was not found
  std::vector<CheckedClause> clauses;

  bool passed() const;  // no clause failed
};

// Runs code of the plugin that serves the model (config, create, forward), as loading does. Tensors
// are compared by the loader's own rules. Any thread; several at once.
CheckReport CheckModel(const CheckOptions& options);

// The report as keel_check_model (sdk/abi/engine.h) gives it.
std::string ToJson(const CheckReport& report);

}  // namespace keel
#endif  // KEEL_CORE_CHECK_CHECK_H_
