// Errors of third_party/text as absl::Status.
#ifndef KEEL_CORE_GRAMMAR_KEEL_TEXT_ERROR_H_
#define KEEL_CORE_GRAMMAR_KEEL_TEXT_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "third_party/text/keel_text.h"

namespace keel {

inline absl::Status GrammarError(keel_text_status status, const keel_text_error& error) {
  switch (status) {
    case KEEL_TEXT_OK:
      return absl::OkStatus();
    case KEEL_TEXT_PANIC:
      return absl::InvalidArgumentError(
          absl::StrCat("the library that reads it failed: ", error.message));
    default:
      return absl::InvalidArgumentError(error.message);
  }
}

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_KEEL_TEXT_ERROR_H_
