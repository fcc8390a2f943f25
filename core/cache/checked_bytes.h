// How many bytes a model wants kept, from sizes that come with its graph.
#ifndef KEEL_CORE_CACHE_CHECKED_BYTES_H_
#define KEEL_CORE_CACHE_CHECKED_BYTES_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"

namespace keel {

// 64 TiB: more than any machine has, and far from overflow when a few are added up.
inline constexpr int64_t kMaxBytes = int64_t{1} << 46;

// The product. kInvalidArgument for a factor below 1, or a product beyond kMaxBytes.
inline absl::StatusOr<int64_t> CheckedBytes(absl::Span<const int64_t> factors) {
  int64_t bytes = 1;
  for (const int64_t factor : factors) {
    if (factor < 1 || __builtin_mul_overflow(bytes, factor, &bytes) || bytes > kMaxBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("sizes ", absl::StrJoin(factors, " x "),
                       " make no number of bytes that a machine has, expected 1 to ", kMaxBytes));
    }
  }
  return bytes;
}

}  // namespace keel

#endif  // KEEL_CORE_CACHE_CHECKED_BYTES_H_
