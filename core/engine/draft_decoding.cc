#include "core/engine/draft_decoding.h"

#include <algorithm>
#include <vector>

#include "core/engine/ending.h"

namespace keel {

void DraftDecoding::Propose(RunningRequest& request, DecodingContext&) {
  for (const auto& sequence : request.sequences) {
    // Masks of drafts would need the grammar to go back, and a budget to look ahead.
    const bool may_be_masked = sequence->grammar != nullptr ||
                               (sequence->reasoning.has_value() && !sequence->reasoning->is_over());
    if (!sequence->finished && sequence->num_behind() == 1 && !may_be_masked) Propose(*sequence);
  }
}

void DraftDecoding::Propose(RunningSequence& sequence) const {
  PromptLookupOptions lookup = lookup_;
  lookup.num_tokens = static_cast<int32_t>(std::min<int64_t>(
      lookup_.num_tokens, sequence.request->max_tokens - sequence.num_generated - 1));
  if (lookup.num_tokens < 1) return;
  const std::vector<int32_t> drafts = PromptLookup(sequence.tokens, lookup);
  sequence.tokens.insert(sequence.tokens.end(), drafts.begin(), drafts.end());
  sequence.num_drafts = static_cast<int32_t>(drafts.size());
}

void DraftDecoding::Take(Sampled& sampled, DecodingContext& context) {
  if (sampled.num_drafts > 0)
    context.metrics.DraftVerified(sampled.num_drafts, sampled.num_accepted);
  PlainDecoding::Take(sampled, context);
}

}  // namespace keel
