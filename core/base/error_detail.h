// What an error is about, as data beside its message: programs read this and never the text.
//
// Set where the error is made; it goes up with the status (Annotate keeps it). The first to set a
// detail knows most: a later one does not replace it.
#ifndef KEEL_CORE_BASE_ERROR_DETAIL_H_
#define KEEL_CORE_BASE_ERROR_DETAIL_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace keel {

enum class ErrorDetail {
  kField,  // the parameter of a request, as sdk/abi/engine.h names it: "max_tokens", "prompt"
  kFlag,   // the option, without dashes: "max-model-len"
  kFile,   // the path
};
inline constexpr ErrorDetail kErrorDetails[] = {ErrorDetail::kField, ErrorDetail::kFlag,
                                                ErrorDetail::kFile};

// "field", "flag", "file": the names that sdk/abi/engine.h uses.
absl::string_view ErrorDetailName(ErrorDetail detail);

// OK stays OK.
absl::Status WithDetail(absl::Status status, ErrorDetail detail, absl::string_view value);
inline absl::Status WithField(absl::Status status, absl::string_view field) {
  return WithDetail(std::move(status), ErrorDetail::kField, field);
}
inline absl::Status WithFlag(absl::Status status, absl::string_view flag) {
  return WithDetail(std::move(status), ErrorDetail::kFlag, flag);
}
inline absl::Status WithFile(absl::Status status, absl::string_view path) {
  return WithDetail(std::move(status), ErrorDetail::kFile, path);
}

// "" where nobody said.
std::string DetailOf(const absl::Status& status, ErrorDetail detail);

// The message; of one that quotes a name or a file at length, beginning and end.
std::string BoundedMessage(const absl::Status& status);

}  // namespace keel

#endif  // KEEL_CORE_BASE_ERROR_DETAIL_H_
