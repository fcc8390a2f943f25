// Plain decoding with drafts: a step verifies what the text itself suggests (prompt lookup), and so
// may yield several tokens. Drafts change how many, never which.
#ifndef KEEL_CORE_ENGINE_DRAFT_DECODING_H_
#define KEEL_CORE_ENGINE_DRAFT_DECODING_H_

#include "core/engine/plain_decoding.h"
#include "core/engine/prompt_lookup.h"

namespace keel {

class DraftDecoding : public PlainDecoding {
 public:
  explicit DraftDecoding(const PromptLookupOptions& lookup) : lookup_(lookup) {}

  void Take(Sampled& sampled, DecodingContext& context) override;
  void Propose(RunningRequest& request, DecodingContext& context) override;

 private:
  void Propose(RunningSequence& sequence) const;

  const PromptLookupOptions lookup_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_DRAFT_DECODING_H_
