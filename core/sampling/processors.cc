#include "core/sampling/processors.h"

#include <algorithm>
#include <limits>

#include "core/sampling/row_kernels.h"

namespace keel {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

}  // namespace

void KeepMasked(absl::Span<float> scores, absl::Span<const uint32_t> mask) {
  const size_t masked = std::min(scores.size(), 32 * mask.size());
  FastestRowKernels().keep_masked(scores.data(), static_cast<int64_t>(masked), mask.data());
  std::fill(scores.begin() + static_cast<ptrdiff_t>(masked), scores.end(), kRemoved);
}

void RemoveTokens(absl::Span<float> scores, absl::Span<const int32_t> tokens) {
  for (const int32_t token : tokens) {
    if (token >= 0 && static_cast<size_t>(token) < scores.size()) scores[token] = kRemoved;
  }
}

void RemoveBadWords(absl::Span<float> scores, absl::Span<const std::vector<int32_t>> words,
                    absl::Span<const int32_t> text) {
  for (const std::vector<int32_t>& word : words) {
    const size_t prefix = word.size() - 1;
    if (prefix <= text.size() && std::equal(word.begin(), word.end() - 1, text.end() - prefix)) {
      scores[word.back()] = kRemoved;
    }
  }
}

void AddBias(absl::Span<float> scores, absl::Span<const std::pair<int32_t, double>> bias) {
  for (const auto& [token, value] : bias) scores[token] += static_cast<float>(value);
}

void PenalizeRepetition(absl::Span<float> scores, absl::Span<const int32_t> tokens,
                        double penalty) {
  const auto p = static_cast<float>(penalty);
  for (const int32_t token : tokens)
    scores[token] = scores[token] < 0 ? scores[token] * p : scores[token] / p;
}

void PenalizePresence(absl::Span<float> scores,
                      absl::Span<const std::pair<int32_t, int32_t>> counts, double presence,
                      double frequency) {
  for (const auto& [token, count] : counts)
    scores[token] -= static_cast<float>(presence + frequency * count);
}

}  // namespace keel
