// What the calls into third_party/text share: their errors as absl::Status, their sinks as strings
// and vectors.
#ifndef KEEL_CORE_TEXT_KEEL_TEXT_STATUS_H_
#define KEEL_CORE_TEXT_KEEL_TEXT_STATUS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "third_party/text/keel_text.h"

namespace keel {

// Marks the error of a library that failed by itself, whatever it was given.
inline constexpr char kPanicUrl[] = "keel/panic";
inline bool IsPanic(const absl::Status& status) { return status.GetPayload(kPanicUrl).has_value(); }
// Marks the error of text that took all that it may: fuel, output.
inline constexpr char kLimitUrl[] = "keel/limit";
inline bool IsOverLimit(const absl::Status& status) {
  return status.GetPayload(kLimitUrl).has_value();
}

inline absl::Status Marked(absl::Status status, const char* url) {
  status.SetPayload(url, absl::Cord());
  return status;
}

// `where` begins the message, except of what a template itself says.
inline absl::Status ToStatus(keel_text_status status, const keel_text_error& error,
                             absl::string_view where) {
  switch (status) {
    case KEEL_TEXT_OK:
      return absl::OkStatus();
    case KEEL_TEXT_REFUSED:
      return absl::InvalidArgumentError(error.message);
    case KEEL_TEXT_LIMIT:
      return Marked(absl::InvalidArgumentError(absl::StrCat(where, ": ", error.message)),
                    kLimitUrl);
    case KEEL_TEXT_PANIC:
      return Marked(absl::InvalidArgumentError(
                        absl::StrCat(where, ": the library that reads it failed: ", error.message)),
                    kPanicUrl);
    case KEEL_TEXT_INVALID:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", error.message));
}

// Sinks; `user` is the std::string or std::vector<int32_t> that takes the result. They may only
// throw when memory ends, which ends the process.
inline void AppendBytes(void* user, const char* bytes, size_t n) noexcept {
  static_cast<std::string*>(user)->append(bytes, n);
}

inline void AppendIds(void* user, const uint32_t* ids, size_t n) noexcept {
  auto* out = static_cast<std::vector<int32_t>*>(user);
  out->insert(out->end(), ids, ids + n);
}

}  // namespace keel

#endif  // KEEL_CORE_TEXT_KEEL_TEXT_STATUS_H_
