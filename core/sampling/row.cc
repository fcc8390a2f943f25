#include "core/sampling/row.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

namespace keel {

void Row::Reset(absl::Span<const float> logits) {
  logits_ = logits;
  const auto size = static_cast<int64_t>(logits.size());
  maxima_.resize(static_cast<size_t>(RowBlocks(size)));
  FastestRowKernels().block_maxima(logits.data(), size, maxima_.data());
  best_ = *std::max_element(maxima_.begin(), maxima_.end());
}

int32_t Row::ArgMax() const {
  if (best_ == -std::numeric_limits<float>::infinity()) return 0;
  const int64_t b = std::find(maxima_.begin(), maxima_.end(), best_) - maxima_.begin();
  const absl::Span<const float> block = Block(b);
  const int64_t i = std::find(block.begin(), block.end(), best_) - block.begin();
  return static_cast<int32_t>(b * kRowBlock + i);
}

BlockSum Row::Sum(float temperature) {
  sums_.resize(maxima_.size());
  FastestRowKernels().block_sums(logits_.data(), static_cast<int64_t>(logits_.size()), temperature,
                                 best_ / temperature, sums_.data());
  BlockSum total = {0, 0};
  for (const BlockSum& sum : sums_) total.weight += sum.weight, total.moment += sum.moment;
  return total;
}

int32_t Row::Draw(float temperature, double uniform) const {
  double total = 0;
  for (const BlockSum& sum : sums_) total += sum.weight;
  const double target = uniform * total;
  double before = 0;
  int64_t b = 0, last = 0;  // the block; the last one with a weight
  for (; b < static_cast<int64_t>(sums_.size()); ++b) {
    if (sums_[b].weight == 0) continue;
    last = b;
    if (before + sums_[b].weight > target) break;
    before += sums_[b].weight;
  }
  const absl::Span<const float> block = Block(last);
  std::array<float, kRowBlock> weights;
  FastestRowKernels().weights(block.data(), static_cast<int64_t>(block.size()), temperature,
                              best_ / temperature, weights.data());
  int64_t drawn = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(block.size()); ++i) {
    if (weights[i] == 0) continue;
    drawn = i;
    before += weights[i];
    if (before > target) break;
  }
  return static_cast<int32_t>(last * kRowBlock + drawn);
}

void Row::CollectBest(int64_t k, float temperature, Candidates& out) {
  // Each of the k blocks with the best maxima holds a score that is at least the k-th of them.
  double threshold = std::numeric_limits<float>::lowest();
  if (k <= static_cast<int64_t>(maxima_.size())) {
    sorted_ = maxima_;
    std::nth_element(sorted_.begin(), sorted_.begin() + (k - 1), sorted_.end(), std::greater<>());
    threshold = std::max<double>(threshold, sorted_[static_cast<size_t>(k - 1)] / temperature);
  }
  CollectAbove(threshold, temperature, out);
  out.KeepTopK(k);
}

void Row::CollectAbove(double threshold, float temperature, Candidates& out) const {
  out.Clear();
  for (int64_t b = 0; b < static_cast<int64_t>(maxima_.size()); ++b) {
    if (maxima_[b] / temperature < threshold) continue;
    const absl::Span<const float> block = Block(b);
    out.Append(block.data(), static_cast<int64_t>(block.size()),
               static_cast<int32_t>(b * kRowBlock), temperature, threshold);
  }
}

}  // namespace keel
