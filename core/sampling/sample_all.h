// The sampling of a step: all sequences of the batch at once, with what was guessed of them.
#ifndef KEEL_CORE_SAMPLING_SAMPLE_ALL_H_
#define KEEL_CORE_SAMPLING_SAMPLE_ALL_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/sampling/sampler.h"

namespace keel {

// One sequence's sampling of a step: its rows of logits and the tokens that were guessed for them.
struct SampleJob {
  SequenceSampler* sampler;          // of this job alone
  absl::Span<float> logits;          // [1 + drafts.size(), vocab], scratch afterwards
  absl::Span<const int32_t> drafts;  // row i + 1 is of the sequence that goes on with drafts[0..i]
  // Bit mask over the vocabulary for row 0 (grammars), empty for all. With drafts: none.
  absl::Span<const uint32_t> allowed;
  bool shared_logits = false;  // another job reads the same rows: they are copied before a change
  // Out: 1 to 1 + drafts.size() of them, each what its row's Sample gives. The next row counts only where the token
  // equals the draft, so drafts change how many tokens a step yields and never which.
  std::vector<SampledToken> tokens;
  absl::Status status = {};  // out: of the row after them, where Sample gave none
};

// Samples all jobs, in parallel over jobs. Same result whatever the number of threads or the other jobs.
void SampleAll(absl::Span<SampleJob> jobs);

}  // namespace keel

#endif  // KEEL_CORE_SAMPLING_SAMPLE_ALL_H_
