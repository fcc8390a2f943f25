// What a plugin hands to the host, taken in: structs of any age are copied by one rule, and what may
// not be NULL is refused by name (sdk/abi/plugin.h, Growth and NULL).
#ifndef KEEL_CORE_BASE_ABI_INPUT_H_
#define KEEL_CORE_BASE_ABI_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

// All errors are kInvalidArgument and begin with `what`.

// `value` may not be NULL.
absl::Status CheckGiven(absl::string_view what, const void* value);
// A list of `n` entries may be NULL only when it is empty.
absl::Status CheckListGiven(absl::string_view what, const void* list, size_t n);
// The same, and no text in it may be NULL.
absl::Status CheckTextsGiven(absl::string_view what, const char* const* list, size_t n);
absl::StatusOr<std::string> CopyText(absl::string_view what, keel_str text);
// Bits that this host does not know ask for something that it would not do.
absl::Status CheckFlags(absl::string_view what, uint32_t flags, uint32_t known);

namespace internal {
absl::Status CopyStruct(absl::string_view what, const void* from, size_t known, void* to);
absl::Status CheckReserved(absl::string_view what, uint64_t reserved);
}  // namespace internal

// A copy of `*from`, whose first member is struct_size, with the T that this host knows:
//   shorter  what is lacking is 0
//   longer   refused unless all beyond it is 0: it asks for what this host can't do
// Members named reserved must be 0, and `flags` may have no bits but `known_flags`. What the struct
// points to is not copied.
template <typename T>
absl::StatusOr<T> CopyIn(absl::string_view what, const T* from, uint32_t known_flags = 0) {
  static_assert(std::is_trivially_copyable_v<T> && offsetof(T, struct_size) == 0);
  T out{};
  absl::Status status = internal::CopyStruct(what, from, sizeof(T), &out);
  out.struct_size = sizeof(T);
  if constexpr (requires { out.reserved; }) {
    if (status.ok()) status = internal::CheckReserved(what, static_cast<uint64_t>(out.reserved));
  }
  if constexpr (requires { out.reserved2; }) {
    if (status.ok()) status = internal::CheckReserved(what, static_cast<uint64_t>(out.reserved2));
  }
  if constexpr (requires { out.flags; }) {
    if (status.ok()) status = CheckFlags(what, out.flags, known_flags);
  }
  if (!status.ok()) return status;
  return out;
}

}  // namespace keel
#endif  // KEEL_CORE_BASE_ABI_INPUT_H_
