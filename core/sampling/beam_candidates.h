// What beam search asks of a row of logits.
#ifndef KEEL_CORE_SAMPLING_BEAM_CANDIDATES_H_
#define KEEL_CORE_SAMPLING_BEAM_CANDIDATES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/sampling/sampler.h"

namespace keel {

// The k best tokens and their scores, best first, the lowest id first among equals; fewer when fewer are not banned,
// at least one: errors are those of SequenceSampler::Sample.
// As transformers' _beam_search without sampling: a score is the log-softmax of the logits, to which the sampler's bans,
// bias and penalties are applied and which is not normalized again. Temperature, filters and seed play no part.
// `logits` [vocab] is scratch afterwards; `allowed` is as in SequenceSampler::Sample.
absl::StatusOr<std::vector<std::pair<int32_t, float>>> BeamCandidates(
    const SequenceSampler& sampler, absl::Span<float> logits, int64_t k,
    absl::Span<const uint32_t> allowed = {});

}  // namespace keel

#endif  // KEEL_CORE_SAMPLING_BEAM_CANDIDATES_H_
