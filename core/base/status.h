// What every part of the host uses to pass absl::Status up: two macros and the context an error
// gains on its way.
//
// Messages are lower case and say where, what was found, what is expected and what to do, for
// instance
//   config.json: num_attention_heads is 14, which num_key_value_heads (4) does not divide
#ifndef KEEL_CORE_BASE_STATUS_H_
#define KEEL_CORE_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// `status` with "context: " before its message; the code and payloads stay. OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

namespace internal {
inline absl::Status ToStatus(const absl::Status& status) { return status; }
template <typename T>
absl::Status ToStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}
}  // namespace internal
}  // namespace keel

// Returns from the calling function if `expr` (a Status or StatusOr) is an error.
#define KEEL_RETURN_IF_ERROR(expr)                                                            \
  do {                                                                                        \
    if (absl::Status keel_status_ = ::keel::internal::ToStatus((expr)); !keel_status_.ok()) { \
      return keel_status_;                                                                    \
    }                                                                                         \
  } while (false)

// Returns the error of `expr` (a StatusOr), or puts its value into `lhs`, which may be a
// declaration:
//   KEEL_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
// Needs a line of its own; not for the body of an `if` without braces. Parenthesize an `lhs` that
// has commas.
#define KEEL_ASSIGN_OR_RETURN(lhs, expr) \
  KEEL_STATUS_ASSIGN_(KEEL_STATUS_CONCAT_(keel_status_or_, __LINE__), lhs, expr)

#define KEEL_STATUS_ASSIGN_(var, lhs, expr) \
  auto var = (expr);                        \
  if (!var.ok()) return var.status();       \
  KEEL_STATUS_UNPAREN_(lhs) = std::move(var).value()

#define KEEL_STATUS_CONCAT_INNER_(a, b) a##b
#define KEEL_STATUS_CONCAT_(a, b) KEEL_STATUS_CONCAT_INNER_(a, b)

// (a, b) -> a, b; anything else as it is.
#define KEEL_STATUS_UNPAREN_(x) KEEL_STATUS_UNPAREN_2_(KEEL_STATUS_STRIP_ x)
#define KEEL_STATUS_STRIP_(...) KEEL_STATUS_STRIP_ __VA_ARGS__
#define KEEL_STATUS_UNPAREN_2_(...) KEEL_STATUS_UNPAREN_3_(__VA_ARGS__)
#define KEEL_STATUS_UNPAREN_3_(...) KEEL_STATUS_EAT_##__VA_ARGS__
#define KEEL_STATUS_EAT_KEEL_STATUS_STRIP_

#endif  // KEEL_CORE_BASE_STATUS_H_
