// What a long prompt does to those whose answers are coming.
#ifndef KEEL_APPS_BENCH_INTERFERENCE_H_
#define KEEL_APPS_BENCH_INTERFERENCE_H_

#include <cstddef>
#include <vector>

#include "apps/bench/closed_loop.h"
#include "apps/bench/statistics.h"
#include "apps/bench/token_range.h"
#include "apps/bench/token_times.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct InterferenceLoad {
  size_t streams = 16;
  TokenRange prompt_tokens;  // of each stream
  size_t new_tokens = 32;    // of each stream before and after each long prompt
  size_t long_tokens = 4000;
  size_t repeats = 3;  // long prompts
};

// Times in seconds.
struct Interference {
  struct Phase {
    Summary itl;
    double longest_gap = 0;  // between two outputs of a stream, however many tokens the second had
  };
  Phase before = {}, during = {}, after = {};
  // Of the long prompts.
  std::vector<double> ttft_alone = {}, ttft_loaded = {};
  size_t quiet_streams = 0;  // whose tokens have no text, so that the engine gave no outputs
  double tokens_per_output = 0;
};

// The time that a long prompt took, from its submission to its first token.
struct PrefillTime {
  Clock::time_point begin, end;
};

// Sorts gaps of the streams by where their middle lies: before the first prefill, in any of them,
// or after. The middle: the step that ends a prefill gives the streams their tokens too, a moment
// before or after the long prompt's own, and that gap is the prefill's. `prefills` is in order, not
// empty.
void SortIntoPhases(const std::vector<Gap>& gaps, const std::vector<PrefillTime>& prefills,
                    Interference* result);

Result<Interference> MeasureInterference(Bench& bench, const InterferenceLoad& load);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_INTERFERENCE_H_
