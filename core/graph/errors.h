// How core/graph refuses what comes from outside.
#ifndef KEEL_CORE_GRAPH_ERRORS_H_
#define KEEL_CORE_GRAPH_ERRORS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace keel {

// "got MODEL[N, 7], expected a last dimension of 8; check hidden_size": what was found, what is
// allowed, and what to do where more can be said than that. Callers prefix where.
inline absl::Status Bad(absl::string_view got, absl::string_view expected,
                        absl::string_view hint = "") {
  return absl::InvalidArgumentError(
      absl::StrCat(got, ", expected ", expected, hint.empty() ? "" : "; ", hint));
}

// A name from outside as messages show it: not its megabytes.
inline std::string Shown(absl::string_view name) {
  constexpr size_t kLongest = 200;
  if (name.size() <= kLongest) return std::string(name);
  return absl::StrCat(name.substr(0, kLongest), "... (", name.size(), " bytes)");
}

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_ERRORS_H_
