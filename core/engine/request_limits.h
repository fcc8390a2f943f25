// What one request may ask at most: where it is set, parameter by parameter, and where it is prepared as a whole.
#ifndef KEEL_CORE_ENGINE_REQUEST_LIMITS_H_
#define KEEL_CORE_ENGINE_REQUEST_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error_detail.h"

namespace keel {

inline constexpr int64_t kMaxSequences = 128;  // n, best_of
inline constexpr int64_t kMaxBeams = 32;
inline constexpr size_t kMaxStopStrings = 64;
inline constexpr int64_t kMaxParameter = 2147483647;  // of a number without a limit of its own

// INVALID_ARGUMENT: "n is 500, expected 1 to 128".
inline absl::Status CheckRange(absl::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return WithField(absl::InvalidArgumentError(
                       absl::StrCat(name, " is ", value, ", expected ", low, " to ", high)),
                   name);
}

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_REQUEST_LIMITS_H_
