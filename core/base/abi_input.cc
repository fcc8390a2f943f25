#include "core/base/abi_input.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr uint32_t kSmallest = 8, kLargest = 4096;
constexpr char kNewer[] =
    "this host does not know it; update keel, or build the plugin for its SDK";

}  // namespace

absl::Status CheckGiven(absl::string_view what, const void* value) {
  if (value != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is NULL, expected a value"));
}

absl::Status CheckListGiven(absl::string_view what, const void* list, size_t n) {
  if (list != nullptr || n == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is NULL, expected ", n, " entries"));
}

absl::Status CheckTextsGiven(absl::string_view what, const char* const* list, size_t n) {
  KEEL_RETURN_IF_ERROR(CheckListGiven(what, list, n));
  for (size_t i = 0; i < n; ++i) {
    KEEL_RETURN_IF_ERROR(CheckGiven(absl::StrCat(what, "[", i, "]"), list[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CopyText(absl::string_view what, keel_str text) {
  if (text.size == 0) return std::string();
  if (text.data == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is NULL, expected ", text.size, " bytes of text"));
  }
  return std::string(text.data, text.size);
}

absl::Status CheckFlags(absl::string_view what, uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: flags are %#x, expected bits of %#x; %s", what, flags, known, kNewer));
}

namespace internal {

absl::Status CopyStruct(absl::string_view what, const void* from, size_t known, void* to) {
  KEEL_RETURN_IF_ERROR(CheckGiven(what, from));
  uint32_t size = 0;
  std::memcpy(&size, from, sizeof(size));
  if (size < kSmallest || size > kLargest) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": struct_size is ", size, ", expected ",
                                                   kSmallest, " to ", kLargest, "; set it to ",
                                                   "sizeof of the struct"));
  }
  const auto* bytes = static_cast<const unsigned char*>(from);
  for (size_t i = known; i < size; ++i) {
    if (bytes[i] == 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": byte ", i, " of ", size, " is set, expected 0 beyond ", known, "; ", kNewer));
  }
  std::memcpy(to, from, std::min<size_t>(size, known));
  return absl::OkStatus();
}

absl::Status CheckReserved(absl::string_view what, uint64_t reserved) {
  if (reserved == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": reserved is ", reserved, ", expected 0; ", kNewer));
}

}  // namespace internal
}  // namespace keel
