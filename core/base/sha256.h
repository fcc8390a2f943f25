// SHA-256 (FIPS 180-4), by OpenSSL.
#ifndef KEEL_CORE_BASE_SHA256_H_
#define KEEL_CORE_BASE_SHA256_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

// 64 lower-case hexadecimal digits.
std::string Sha256Hex(absl::Span<const uint8_t> bytes);

bool IsSha256Hex(absl::string_view text);

}  // namespace keel

#endif  // KEEL_CORE_BASE_SHA256_H_
