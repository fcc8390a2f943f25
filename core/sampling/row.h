// One row of logits [vocab], asked for its best tokens, its log-sum or a draw.
#ifndef KEEL_CORE_SAMPLING_ROW_H_
#define KEEL_CORE_SAMPLING_ROW_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/sampling/candidates.h"
#include "core/sampling/row_kernels.h"

namespace keel {

// Knows the best logit of each block of the row, so that most questions read few of them. NaN and infinite logits count
// as absent. Temperatures divide logits, in fp32: the results are scores. One thread at a time; memory is kept over
// rows.
class Row {
 public:
  // Goes to another row, which must stay as it is until the next call.
  void Reset(absl::Span<const float> logits);

  // -infinity where all are absent; what follows then must not be called, but for ArgMax.
  float best() const { return best_; }
  // The lowest id among the best; 0 where all are absent.
  int32_t ArgMax() const;

  // Sums of exp(score - best score); Draw uses the last of these.
  BlockSum Sum(float temperature);
  int32_t Draw(float temperature, double uniform) const;

  // Sets `out` to the k best scores and those equal to the last of them; to those that are at least `threshold`
  // (> -infinity).
  void CollectBest(int64_t k, float temperature, Candidates& out);
  void CollectAbove(double threshold, float temperature, Candidates& out) const;

 private:
  absl::Span<const float> Block(int64_t b) const {
    return logits_.subspan(static_cast<size_t>(b * kRowBlock), kRowBlock);
  }

  absl::Span<const float> logits_;
  float best_ = 0;
  std::vector<float> maxima_;  // of the blocks
  std::vector<float> sorted_;  // scratch of CollectBest
  std::vector<BlockSum> sums_;
};

}  // namespace keel

#endif  // KEEL_CORE_SAMPLING_ROW_H_
