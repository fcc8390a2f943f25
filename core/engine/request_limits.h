// What one request may ask at most: where it is set, parameter by parameter, and where it is prepared as a whole.
#ifndef KEEL_CORE_ENGINE_REQUEST_LIMITS_H_
#define KEEL_CORE_ENGINE_REQUEST_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

namespace keel {

inline constexpr int64_t kMaxParameter = 2147483647;  // of a number without a limit of its own

// A parameter of whole numbers and its range, both ends included.
struct IntRange {
  const char* name;
  int64_t low, high = kMaxParameter;

  constexpr IntRange From(int64_t new_low) const { return {name, new_low, high}; }
};

inline constexpr IntRange kNumAnswers = {"n", 1, 128};
inline constexpr IntRange kBestOf = {"best_of", 1, kNumAnswers.high};
inline constexpr IntRange kBeamWidth = {"beam_width", 1, 32};
inline constexpr IntRange kMaxTokens = {"max_tokens", 0};
inline constexpr IntRange kTimeoutMs = {"timeout_ms", 1};
inline constexpr size_t kMaxStopStrings = 64;

// INVALID_ARGUMENT: "n is 500, expected 1 to 128".
inline absl::Status CheckRange(const IntRange& range, int64_t value) {
  if (value >= range.low && value <= range.high) return absl::OkStatus();
  return WithField(absl::InvalidArgumentError(absl::StrCat(range.name, " is ", value, ", expected ",
                                                           range.low, " to ", range.high)),
                   range.name);
}

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_REQUEST_LIMITS_H_
