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

// Keeps the tokens whose bit is set in `mask` (bit i % 32 of word i / 32; 0 beyond its end).
void KeepMasked(absl::Span<float> scores, absl::Span<const uint32_t> mask);
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

}  // namespace keel
#endif  // KEEL_CORE_SAMPLING_PROCESSORS_H_
