#include "apps/bench/token_times.h"

namespace keel::apps {

size_t TokenTimes::tokens() const {
  size_t sum = 0;
  for (const Arrival& arrival : arrivals) sum += arrival.tokens;
  return sum;
}

std::vector<Gap> TokenTimes::gaps() const {
  std::vector<Gap> gaps;
  for (size_t i = 1; i < arrivals.size(); ++i) {
    gaps.push_back({arrivals[i - 1].at, arrivals[i].at, arrivals[i].tokens});
  }
  return gaps;
}

void AppendPerToken(const Gap& gap, std::vector<double>* seconds) {
  seconds->insert(seconds->end(), gap.tokens, gap.seconds_per_token());
}

}  // namespace keel::apps
