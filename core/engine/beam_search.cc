#include "core/engine/beam_search.h"

#include <algorithm>
#include <cmath>

namespace keel {

int64_t BeamSearch::num_candidates() const {
  // Enough that `width` beams go on even if the best candidates all end.
  const auto ends = static_cast<int64_t>(end_tokens_.size());
  return std::max<int64_t>(2, 1 + ends) * options_.width;
}

bool BeamSearch::CanImprove(float best_running, int64_t length) const {
  if (static_cast<int64_t>(finished_.size()) < options_.width) return true;
  if (options_.early_stopping == EarlyStopping::kFull) return false;
  if (options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0)
    length = max_tokens_;
  const auto best = static_cast<float>(
      best_running / std::pow(static_cast<double>(length), options_.length_penalty));
  return best > finished_.back().score;
}

std::vector<BeamSearch::Next> BeamSearch::Advance(absl::Span<const absl::Span<const int32_t>> texts,
                                                  absl::Span<const Candidates> candidates) {
  struct Continuation {
    size_t parent;
    int32_t token;
    float logprob;
  };
  std::vector<Continuation> best;
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (const auto& [token, logprob] : candidates[i])
      best.push_back({i, token, scores_[i] + logprob});
  }
  const auto kept = std::min(best.size(), static_cast<size_t>(num_candidates()));
  std::stable_sort(best.begin(), best.end(), [](const Continuation& a, const Continuation& b) {
    return a.logprob > b.logprob;
  });
  best.resize(kept);

  const int64_t length = static_cast<int64_t>(texts[0].size()) + 1;
  const bool is_full = static_cast<int64_t>(finished_.size()) >= options_.width &&
                       options_.early_stopping == EarlyStopping::kFull;
  std::vector<Next> next;
  std::vector<float> scores;
  for (size_t rank = 0; rank < best.size(); ++rank) {
    const Continuation& c = best[rank];
    const bool ends =
        std::find(end_tokens_.begin(), end_tokens_.end(), c.token) != end_tokens_.end();
    if (!ends && length < max_tokens_) {
      if (next.size() == static_cast<size_t>(options_.width)) continue;
      next.push_back({c.parent, c.token});
      scores.push_back(c.logprob);
      continue;
    }
    // Of the candidates only the `width` best may end; the others are there to go on.
    if (rank >= static_cast<size_t>(options_.width) || is_full) continue;
    Finished text{{texts[c.parent].begin(), texts[c.parent].end()}, 0, c.logprob, ends};
    text.tokens.push_back(c.token);
    text.score = static_cast<float>(c.logprob /
                                    std::pow(static_cast<double>(length), options_.length_penalty));
    const auto place = std::find_if(finished_.begin(), finished_.end(),
                                    [&](const Finished& f) { return f.score < text.score; });
    finished_.insert(place, std::move(text));
    if (static_cast<int64_t>(finished_.size()) > options_.width) finished_.pop_back();
  }
  if (next.empty() || !CanImprove(scores[0], length)) return {};
  scores_ = std::move(scores);
  return next;
}

}  // namespace keel
