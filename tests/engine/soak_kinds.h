// Kinds of requests for the soak test: any mixture of what a request may ask.
#ifndef KEEL_TESTS_ENGINE_SOAK_KINDS_H_
#define KEEL_TESTS_ENGINE_SOAK_KINDS_H_

#include <cstdint>
#include <string>

#include "tests/engine/testing.h"

namespace keel {

struct SoakKind {
  uint64_t seed = 0;
  Asked request;            // anew, may be changed
  std::string description;  // for messages
  bool is_exact = true;     // has one right answer: greedy, or with a seed
  bool chooses = false;     // of several texts at the end: cut short they have no order
};

// The kind of a number, the same each time.
SoakKind MakeSoakKind(uint64_t seed);

// Tokens that any kind has at most, prompt and answer.
inline constexpr int kSoakMaxTokens = 230;

}  // namespace keel
#endif  // KEEL_TESTS_ENGINE_SOAK_KINDS_H_
