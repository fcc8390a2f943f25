#include "core/sampling/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace keel {
namespace {

// Of the distribution's probabilities p: -sum p ln p, with ln p = d - ln(total weight).
double Entropy(const BlockSum& total) {
  return std::log(total.weight) - total.moment / total.weight;
}

// Sums of fp32 weights and of fp64 ones differ by less.
constexpr double kSlack = 1e-3;

}  // namespace

void Candidates::Append(const float* x, int64_t n, int32_t first, float t, double threshold) {
  if (scores_.size() < size_ + static_cast<size_t>(n)) {
    const size_t room = 2 * size_ + static_cast<size_t>(n);
    scores_.resize(room);
    tokens_.resize(room);
    weights_.resize(room);
    keys_.resize(room);
  }
  // First those that may be in: the division, which decides, is slow.
  const double product = threshold * t;
  const double below = product - 1e-6 * std::abs(product) - std::numeric_limits<float>::min();
  const auto limit =
      static_cast<float>(std::max<double>(below, std::numeric_limits<float>::lowest()));
  std::array<int32_t, kRowBlock> near;
  const int64_t size = FastestRowKernels().at_least(x, n, limit, near.data());
  for (int64_t i = 0; i < size; ++i) {
    const float score = x[near[i]] / t;
    scores_[size_] = score;
    tokens_[size_] = first + near[i];
    size_ += score >= threshold ? 1 : 0;
  }
}

template <typename Kept>
void Candidates::Keep(Kept kept) {
  size_t to = 0;
  for (size_t i = 0; i < size_; ++i) {
    if (!kept(i)) continue;
    scores_[to] = scores_[i];
    tokens_[to] = tokens_[i];
    weights_[to++] = weights_[i];
  }
  size_ = to;
}

void Candidates::KeepAtLeast(double score) {
  Keep([&](size_t i) { return scores_[i] >= score; });
}

void Candidates::KeepTopK(int64_t k) {
  if (k >= static_cast<int64_t>(size_)) return;
  sorted_.assign(scores_.begin(), scores_.begin() + static_cast<ptrdiff_t>(size_));
  std::nth_element(sorted_.begin(), sorted_.begin() + (k - 1), sorted_.end(), std::greater<>());
  KeepAtLeast(sorted_[static_cast<size_t>(k - 1)]);
}

void Candidates::SetWeights(float best) {
  best_ = best;
  FastestRowKernels().weights(scores_.data(), static_cast<int64_t>(size_), 1, best,
                              weights_.data());
}

BlockSum Candidates::Sum() const {
  BlockSum sum = {0, 0};
  for (size_t i = 0; i < size_; ++i) {
    sum.weight += weights_[i];
    sum.moment += weights_[i] * (static_cast<double>(scores_[i]) - best_);
  }
  return sum;
}

// The index of the last candidate, by key and then token, before which the others weigh less than `weight`: found in
// buckets of like keys, of which one is sorted.
size_t Candidates::LastNeeded(double weight) {
  constexpr uint32_t kBuckets = 1024;
  double widest = 1e-300;
  for (size_t i = 0; i < size_; ++i) widest = std::max(widest, keys_[i]);
  const double scale = kBuckets / widest;
  const auto bucket_of = [&](size_t i) {
    return std::min(static_cast<uint32_t>(keys_[i] * scale), kBuckets - 1);
  };
  std::array<double, kBuckets> weights = {};
  for (size_t i = 0; i < size_; ++i) weights[bucket_of(i)] += weights_[i];
  double before = 0;
  uint32_t bucket = 0;
  while (bucket < kBuckets - 1 && before + weights[bucket] < weight) before += weights[bucket++];
  // Should rounding make all weigh less than `weight`, this is the last bucket, which holds the widest key.
  bucket_.clear();
  for (size_t i = 0; i < size_; ++i) {
    if (bucket_of(i) == bucket) bucket_.push_back(static_cast<uint32_t>(i));
  }
  std::sort(bucket_.begin(), bucket_.end(), [&](uint32_t a, uint32_t b) {
    return keys_[a] != keys_[b] ? keys_[a] < keys_[b] : a < b;
  });
  size_t i = 0;
  while (i + 1 < bucket_.size() && before + weights_[bucket_[i]] < weight)
    before += weights_[bucket_[i++]];
  return bucket_[i];
}

void Candidates::KeepTopP(double p, const BlockSum& total) {
  for (size_t i = 0; i < size_; ++i) keys_[i] = static_cast<double>(best_) - scores_[i];
  const size_t last = LastNeeded(p * total.weight);
  const double limit = keys_[last];
  Keep([&](size_t i) { return keys_[i] < limit || (keys_[i] == limit && i <= last); });
}

void Candidates::KeepTypical(double mass, const BlockSum& total) {
  const double entropy = Entropy(total), log_total = std::log(total.weight);
  for (size_t i = 0; i < size_; ++i)
    keys_[i] = std::abs(log_total + best_ - static_cast<double>(scores_[i]) - entropy);
  const double limit = keys_[LastNeeded(mass * total.weight)];
  // Everything at the distance of the last one stays, as in transformers.
  Keep([&](size_t i) { return keys_[i] <= limit; });
}

int32_t Candidates::Draw(double uniform) const {
  double rest = 0;
  for (size_t i = 0; i < size_; ++i) rest += weights_[i];
  rest *= uniform;
  int32_t last = 0;
  for (size_t i = 0; i < size_; ++i) {
    if (weights_[i] == 0) continue;
    last = tokens_[i];
    rest -= weights_[i];
    if (rest < 0) break;
  }
  return last;
}

// vocab_size tokens of this weight are 1 - p of all: those that weigh less are dropped whatever they are.
double TopPThreshold(double p, const BlockSum& total, int64_t vocab_size) {
  return std::log((1 - p) * total.weight / static_cast<double>(vocab_size)) - kSlack;
}

// Information of twice the entropy is as far from it as that of a certain token. What has more is farther than all
// that has less, and is needed only if the latter's probability does not reach `mass`.
double TypicalThreshold(double mass, const BlockSum& total, int64_t vocab_size) {
  const double twice = std::log(total.weight) - 2 * Entropy(total) - kSlack;
  return std::min(twice, TopPThreshold(mass, total, vocab_size));
}

}  // namespace keel
