#include "core/sampling/processors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace keel {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

bool Better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.token < b.token;
}

// Softmax over the candidates, in double.
std::vector<double> Probabilities(const Candidates& candidates) {
  float best = kRemoved;
  for (const Candidate& c : candidates) best = std::max(best, c.score);
  std::vector<double> out(candidates.size());
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = std::exp(static_cast<double>(candidates[i].score) - best);
    sum += out[i];
  }
  for (double& p : out) p /= sum;
  return out;
}

}  // namespace

void KeepMasked(absl::Span<float> scores, absl::Span<const uint32_t> mask) {
  for (size_t i = 0; i < scores.size(); ++i) {
    const bool kept = i / 32 < mask.size() && (mask[i / 32] >> (i % 32) & 1) != 0;
    if (!kept) scores[i] = kRemoved;
  }
}

void KeepTokens(absl::Span<float> scores, absl::Span<const int32_t> tokens) {
  std::vector<Candidate> kept;
  for (const int32_t token : tokens) kept.push_back({scores[token], token});
  std::fill(scores.begin(), scores.end(), kRemoved);
  for (const Candidate& c : kept) scores[c.token] = c.score;
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

void Scale(absl::Span<float> scores, double temperature) {
  const auto t = static_cast<float>(temperature);
  for (float& score : scores) score /= t;
}

void Collect(absl::Span<const float> scores, int64_t top_k, bool sort, Candidates& out) {
  out.clear();
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) out.push_back({scores[i], static_cast<int32_t>(i)});
  }
  if (top_k > 0 && top_k < static_cast<int64_t>(out.size())) {
    std::nth_element(out.begin(), out.begin() + top_k - 1, out.end(), Better);
    const float last = out[top_k - 1].score;
    // Ties with the last of the k stay, as in transformers.
    std::erase_if(out, [last](const Candidate& c) { return c.score < last; });
  }
  if (sort) std::sort(out.begin(), out.end(), Better);
}

void KeepTopP(Candidates& candidates, double p) {
  const std::vector<double> probabilities = Probabilities(candidates);
  double rest = 1;  // of the tokens from here on
  size_t kept = 0;
  // A token goes when it and all worse ones together are at most 1 - p.
  while (kept < candidates.size() && (kept == 0 || rest > 1 - p)) rest -= probabilities[kept++];
  candidates.resize(kept);
}

void KeepMinP(Candidates& candidates, double min_p) {
  float best = kRemoved;
  for (const Candidate& c : candidates) best = std::max(best, c.score);
  const double least = best + std::log(min_p);
  std::erase_if(candidates, [least](const Candidate& c) { return c.score < least; });
}

void KeepTypical(Candidates& candidates, double mass) {
  const std::vector<double> probabilities = Probabilities(candidates);
  double entropy = 0;
  for (const double p : probabilities) {
    if (p > 0) entropy -= p * std::log(p);
  }
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> distance(candidates.size());
  for (size_t i = 0; i < distance.size(); ++i)
    distance[i] = std::abs(-std::log(probabilities[i]) - entropy);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return distance[a] < distance[b]; });
  double sum = 0;
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || sum < mass)) sum += probabilities[order[kept++]];
  // Everything at the distance of the last one kept stays, as a threshold would have it.
  const double limit = distance[order[kept - 1]];
  size_t to = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (distance[i] <= limit) candidates[to++] = candidates[i];
  }
  candidates.resize(to);
}

}  // namespace keel
