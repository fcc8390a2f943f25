#include "core/sampling/beam_candidates.h"

#include <algorithm>
#include <cmath>

#include "core/sampling/row.h"

namespace keel {

absl::StatusOr<std::vector<std::pair<int32_t, float>>> BeamCandidates(
    const SequenceSampler& sampler, absl::Span<float> logits, int64_t k,
    absl::Span<const uint32_t> allowed) {
  thread_local Row row;
  thread_local Candidates candidates;
  std::vector<std::pair<int32_t, float>> out;
  row.Reset(logits);
  if (!std::isfinite(row.best())) return sampler.WhyNoChoice(logits, !allowed.empty());
  const float best = row.best(), log_sum = static_cast<float>(std::log(row.Sum(1).weight));
  for (float& score : logits) score = score - best - log_sum;
  sampler.Adjust(logits, allowed);
  row.Reset(logits);
  if (!std::isfinite(row.best())) return sampler.WhyNoChoice(logits, !allowed.empty());
  row.CollectBest(k, 1, candidates);
  for (size_t i = 0; i < candidates.size(); ++i)
    out.emplace_back(candidates.token(i), candidates.score(i));
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (static_cast<int64_t>(out.size()) > k) out.resize(static_cast<size_t>(k));
  return out;
}

}  // namespace keel
