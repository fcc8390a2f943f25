// When the tokens of a request came.
#ifndef KEEL_APPS_BENCH_TOKEN_TIMES_H_
#define KEEL_APPS_BENCH_TOKEN_TIMES_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

using Clock = std::chrono::steady_clock;

inline double SecondsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// An output that had tokens.
struct Arrival {
  Clock::time_point at;
  size_t tokens = 0;
};

// Between two arrivals. `tokens` came at the end of it.
struct Gap {
  Clock::time_point from, to;
  size_t tokens = 0;

  double seconds() const { return SecondsBetween(from, to); }
  // An output may have several tokens, so a gap counts for all of its own.
  double seconds_per_token() const { return seconds() / static_cast<double>(tokens); }
  Clock::time_point middle() const { return from + (to - from) / 2; }
};

struct TokenTimes {
  Clock::time_point submitted, ended;
  std::vector<Arrival> arrivals;
  size_t cached_tokens = 0;  // of the prompt, found in the prefix cache
  std::string finish_reason;
  Status status;

  // All that was asked for came.
  bool is_complete() const { return finish_reason == "length"; }
  size_t tokens() const;
  // Up to the first output with tokens, of which there must be one.
  double time_to_first_token() const { return SecondsBetween(submitted, arrivals.front().at); }
  double end_to_end() const { return SecondsBetween(submitted, ended); }
  std::vector<Gap> gaps() const;
};

// Appends the time between tokens, one value for each token that `gap` brought.
void AppendPerToken(const Gap& gap, std::vector<double>* seconds);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_TOKEN_TIMES_H_
