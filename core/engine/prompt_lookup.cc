#include "core/engine/prompt_lookup.h"

#include <algorithm>

namespace keel {

std::vector<int32_t> PromptLookup(absl::Span<const int32_t> tokens,
                                  const PromptLookupOptions& options) {
  const auto size = static_cast<int64_t>(tokens.size());
  // One pass from the end: how many tokens before each place equal those before the end.
  int64_t best_length = options.min_ngram - 1, best_end = 0;
  for (int64_t end = size - 1; end > 0 && best_length < options.max_ngram; --end) {
    if (tokens[end - 1] != tokens[size - 1]) continue;
    int64_t length = 1;
    while (length < options.max_ngram && length < end &&
           tokens[end - 1 - length] == tokens[size - 1 - length]) {
      ++length;
    }
    if (length > best_length) {
      best_length = length;
      best_end = end;
    }
  }
  if (best_end == 0) return {};
  const auto n = std::min<int64_t>(options.num_tokens, size - best_end);
  return {tokens.begin() + best_end, tokens.begin() + best_end + n};
}

}  // namespace keel
