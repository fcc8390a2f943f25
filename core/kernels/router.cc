#include "core/kernels/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/fixed_array.h"
#include "absl/types/span.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr int64_t kElementsAPiece = 4 << 10;  // less is not worth waking a thread for
constexpr float kNever = -std::numeric_limits<float>::infinity();

using Scores = absl::FixedArray<float, 512>;

// The numbers of the best k of `scores`, the best first. By insertion, as k is small.
void Best(absl::Span<const float> scores, int64_t k, int64_t* best) {
  for (int64_t i = 0; i < static_cast<int64_t>(scores.size()); ++i) {
    int64_t place = std::min(i, k);
    if (place == k && !(scores[i] > scores[best[k - 1]])) continue;
    place = std::min(place, k - 1);
    for (; place > 0 && scores[i] > scores[best[place - 1]]; --place) best[place] = best[place - 1];
    best[place] = i;
  }
}

void Softmax(absl::Span<float> x) {
  const float most = *std::max_element(x.begin(), x.end());
  float sum = 0;
  for (float& v : x) sum += v = std::exp(v - most);
  for (float& v : x) v /= sum;
}

// The scores of other groups become the least.
void KeepBestGroups(const Router& router, absl::Span<float> scores) {
  const int64_t size = router.experts / router.groups;
  const int64_t counted =
      router.scoring == RouterScoring::kSigmoid ? std::min<int64_t>(2, size) : 1;
  Scores of_group(router.groups);
  for (int64_t g = 0; g < router.groups; ++g) {
    const absl::Span<const float> group = scores.subspan(g * size, size);
    int64_t best[2];
    Best(group, counted, best);
    of_group[g] = counted == 2 ? group[best[0]] + group[best[1]] : group[best[0]];
  }
  absl::FixedArray<int64_t, 64> kept(router.top_groups);
  Best(of_group, router.top_groups, kept.data());
  for (int64_t g = 0; g < router.groups; ++g) {
    if (std::find(kept.begin(), kept.end(), g) != kept.end()) continue;
    std::fill_n(scores.begin() + g * size, size, kNever);
  }
}

void Route(const Router& router, absl::Span<float> logits, int64_t* chosen, float* weights) {
  const int64_t k = router.top_k;
  const absl::Span<float> out(weights, k);
  if (router.scoring == RouterScoring::kTopkSoftmax) {
    Best(logits, k, chosen);
    for (int64_t i = 0; i < k; ++i) out[i] = logits[chosen[i]];
    Softmax(out);
  } else {
    if (router.scoring == RouterScoring::kSoftmax) {
      Softmax(logits);
    } else {
      for (float& v : logits) v = 1 / (1 + std::exp(-v));
    }
    Scores choice(logits.begin(), logits.end());
    if (router.bias != nullptr)
      for (int64_t e = 0; e < router.experts; ++e) choice[e] += router.bias[e];
    if (router.groups > 1) KeepBestGroups(router, absl::MakeSpan(choice));
    Best(choice, k, chosen);
    for (int64_t i = 0; i < k; ++i) out[i] = logits[chosen[i]];
  }
  if (router.normalize) {
    float sum = 0;
    for (const float w : out) sum += w;
    if (router.scoring == RouterScoring::kSigmoid) sum += 1e-20f;  // all may be 0
    for (float& w : out) w /= sum;
  }
  if (router.scale != 1)
    for (float& w : out) w *= router.scale;
}

template <typename T>
void RouteRows(const Router& router, const RouterRows& r, int64_t begin, int64_t end) {
  Scores logits(router.experts);
  for (int64_t row = begin; row < end; ++row) {
    const auto* x = static_cast<const typename T::Storage*>(r.logits) + row * r.stride;
    for (int64_t e = 0; e < router.experts; ++e) logits[e] = T::Load(x + e);
    Route(router, absl::MakeSpan(logits), r.chosen + row * router.top_k,
          r.weights + row * router.top_k);
  }
}

}  // namespace

void RunRouter(const Router& router, const RouterRows& rows) {
  const int64_t grain = std::max<int64_t>(1, kElementsAPiece / router.experts);
  ParallelFor(rows.rows, grain, [&](int64_t begin, int64_t end) {
    switch (rows.type) {
      case KernelType::kF32:
        return RouteRows<lanes::F32>(router, rows, begin, end);
      case KernelType::kBF16:
        return RouteRows<lanes::BF16>(router, rows, begin, end);
      case KernelType::kF16:
        return RouteRows<lanes::F16>(router, rows, begin, end);
    }
  });
}

}  // namespace keel
