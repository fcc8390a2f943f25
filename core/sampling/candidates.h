// Tokens that are still in the race for a draw, and the filters that drop some of them. Each filter equals the
// processor of the same name in transformers' generation/logits_process.py.
#ifndef KEEL_CORE_SAMPLING_CANDIDATES_H_
#define KEEL_CORE_SAMPLING_CANDIDATES_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/sampling/row_kernels.h"

namespace keel {

// Always in the order of token ids, so that a draw does not depend on how the filters came to their result. Memory is
// kept over Clear().
class Candidates {
 public:
  size_t size() const { return size_; }
  int32_t token(size_t i) const { return tokens_[i]; }
  float score(size_t i) const { return scores_[i]; }

  void Clear() { size_ = 0; }
  // Adds the tokens from `first` on, of scores x / t, that are finite and at least `threshold` (> -infinity); n is at
  // most kRowBlock.
  void Append(const float* x, int64_t n, int32_t first, float t, double threshold);

  // Those with at least `score`.
  void KeepAtLeast(double score);
  // The k best and those equal to the last of them.
  void KeepTopK(int64_t k);

  // What follows needs SetWeights after the last Append: weight = exp(score - best). `total` is the sum over the
  // distribution that the filter works on, which may hold tokens that never became candidates.
  void SetWeights(float best);
  BlockSum Sum() const;
  // The smallest set of best tokens whose probability is at least p; of equals the lowest ids first,
  // where transformers leaves it to an unstable sort.
  void KeepTopP(double p, const BlockSum& total);
  // Those whose information is nearest to the entropy, until their probability is `mass` (arXiv:2202.00666).
  void KeepTypical(double mass, const BlockSum& total);
  // The token where the sum of weights passes `uniform` (in [0, 1)) of all. There must be one with a weight.
  int32_t Draw(double uniform) const;

 private:
  template <typename Kept>
  void Keep(Kept kept);
  size_t LastNeeded(double weight);

  size_t size_ = 0;  // of the arrays' elements, those that count; the rest is room
  std::vector<float> scores_, weights_;
  std::vector<int32_t> tokens_;
  std::vector<double> keys_;  // what a filter orders by, best first
  float best_ = 0;
  std::vector<float> sorted_;     // scratch of KeepTopK
  std::vector<uint32_t> bucket_;  // scratch of LastNeeded
};

// The filter's result holds no token whose score is less than this below the best one's: so little would all of the
// vocab_size tokens weigh there, taken together.
double TopPThreshold(double p, const BlockSum& total, int64_t vocab_size);
double TypicalThreshold(double mass, const BlockSum& total, int64_t vocab_size);

}  // namespace keel

#endif  // KEEL_CORE_SAMPLING_CANDIDATES_H_
