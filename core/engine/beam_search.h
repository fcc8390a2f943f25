// Beam search of one request: which beams go on and which texts are the best. Numbers only; it follows transformers'
// generation/utils.py (_beam_search with do_sample false, scores in fp32).
#ifndef KEEL_CORE_ENGINE_BEAM_SEARCH_H_
#define KEEL_CORE_ENGINE_BEAM_SEARCH_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace keel {

// When a search may end before max_tokens: once nothing that runs can beat the worst finished text, guessing that it
// ends soon (kHeuristic) or knowing how long it may get (kNever); or once there are enough finished ones (kFull).
enum class EarlyStopping { kHeuristic, kFull, kNever };

struct BeamOptions {
  int64_t width = 1;  // beams that run, and texts that are kept
  // A text's score is the sum of its log-probabilities / length ^ penalty.
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
};

class BeamSearch {
 public:
  // (token, log-probability), best first.
  using Candidates = std::vector<std::pair<int32_t, float>>;

  // A beam of the next round: its text is that of `parent`, a beam of this one, and `token`.
  struct Next {
    size_t parent;
    int32_t token;
  };
  struct Finished {
    std::vector<int32_t> tokens;
    float score;
    float logprob;      // the sum
    bool by_end_token;  // else by max_tokens
  };

  // `end_tokens` end a text, and so does its token number `max_tokens`.
  BeamSearch(const BeamOptions& options, std::vector<int32_t> end_tokens, int64_t max_tokens)
      : options_(options), end_tokens_(std::move(end_tokens)), max_tokens_(max_tokens) {}

  // How many candidates each beam must bring to a round.
  int64_t num_candidates() const;

  // One round: `texts[i]` is what beam i has generated, `candidates[i]` how it may go on; a beam without any is given up.
  // The first round has one beam. Returns the beams that go on, best first; none when the search is over.
  std::vector<Next> Advance(absl::Span<const absl::Span<const int32_t>> texts,
                            absl::Span<const Candidates> candidates);

  // The best texts so far, best first, `width` at most.
  const std::vector<Finished>& finished() const { return finished_; }
  // The sum of running beam `i`'s log-probabilities.
  float logprob(size_t i) const { return scores_[i]; }

 private:
  bool CanImprove(float best_running, int64_t length) const;

  const BeamOptions options_;
  const std::vector<int32_t> end_tokens_;
  const int64_t max_tokens_;
  std::vector<float> scores_ = {0};  // of the running beams
  std::vector<Finished> finished_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_BEAM_SEARCH_H_
