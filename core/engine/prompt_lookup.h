// Guesses at the next tokens: what followed the last time that the text ended as it does now. Costs no model, and pays
// where answers repeat their prompt (summaries, edits, code).
#ifndef KEEL_CORE_ENGINE_PROMPT_LOOKUP_H_
#define KEEL_CORE_ENGINE_PROMPT_LOOKUP_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace keel {

struct PromptLookupOptions {
  int32_t num_tokens = 0;  // guesses at most; 0: off
  int32_t max_ngram = 4;   // tokens at the end that must have occurred before: the longest first,
  int32_t min_ngram = 2;   // down to so many
};

// What came after the latest earlier occurrence of the longest n-gram that `tokens` ends with; empty when there is none.
std::vector<int32_t> PromptLookup(absl::Span<const int32_t> tokens,
                                  const PromptLookupOptions& options);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_PROMPT_LOOKUP_H_
