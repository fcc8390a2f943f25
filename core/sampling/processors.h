// Logits processors: each takes the scores of one row [vocab] and changes them in place. Removed tokens get -infinity.
// Each equals the processor of the same name in transformers' generation/logits_process.py, or vLLM's formula where
// transformers has none (presence, frequency, bias).
#ifndef KEEL_CORE_SAMPLING_PROCESSORS_H_
#define KEEL_CORE_SAMPLING_PROCESSORS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace keel {

// Keeps the tokens whose bit is set in `mask` (bit i % 32 of word i / 32).
void KeepMasked(absl::Span<float> scores, absl::Span<const uint32_t> mask);
// Keeps these tokens only.
void KeepTokens(absl::Span<float> scores, absl::Span<const int32_t> tokens);
void RemoveTokens(absl::Span<float> scores, absl::Span<const int32_t> tokens);
// Removes the last token of each sequence whose other tokens the text ends with.
void RemoveBadWords(absl::Span<float> scores, absl::Span<const std::vector<int32_t>> words,
                    absl::Span<const int32_t> text);
void AddBias(absl::Span<float> scores, absl::Span<const std::pair<int32_t, double>> bias);
// score < 0 ? score * penalty : score / penalty, for each of `tokens` once.
void PenalizeRepetition(absl::Span<float> scores, absl::Span<const int32_t> tokens, double penalty);
// score -= presence + frequency * count, for each (token, count).
void PenalizePresence(absl::Span<float> scores,
                      absl::Span<const std::pair<int32_t, int32_t>> counts, double presence,
                      double frequency);
void Scale(absl::Span<float> scores, double temperature);

// Tokens that are still in the race and their scores, best first. The filters work on it: after top-k it is short.
struct Candidate {
  float score;
  int32_t token;
};
using Candidates = std::vector<Candidate>;

// All finite scores; with 0 < top_k < size only the k best and those equal to the last of them. Sorted when `sort`.
void Collect(absl::Span<const float> scores, int64_t top_k, bool sort, Candidates& out);
// The smallest set of best tokens whose probability is at least p; one at least. Needs sorted candidates.
void KeepTopP(Candidates& candidates, double p);
// Those with at least min_p times the probability of the best.
void KeepMinP(Candidates& candidates, double min_p);
// Those whose information is nearest to the entropy, until their probability is `mass` (arXiv:2202.00666).
void KeepTypical(Candidates& candidates, double mass);

}  // namespace keel
#endif  // KEEL_CORE_SAMPLING_PROCESSORS_H_
