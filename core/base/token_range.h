// Tokens of a text that follow each other.
#ifndef KEEL_CORE_BASE_TOKEN_RANGE_H_
#define KEEL_CORE_BASE_TOKEN_RANGE_H_

#include <cstdint>

namespace keel {

struct TokenRange {
  int32_t begin = 0, end = 0;

  int32_t size() const { return end - begin; }
  bool operator==(const TokenRange&) const = default;
};

}  // namespace keel
#endif  // KEEL_CORE_BASE_TOKEN_RANGE_H_
