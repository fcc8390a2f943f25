// What the prefix cache saves.
#ifndef KEEL_APPS_BENCH_PREFIX_H_
#define KEEL_APPS_BENCH_PREFIX_H_

#include <cstddef>
#include <vector>

#include "apps/bench/closed_loop.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// One prompt's beginning, asked three times with different ends: by the first, by a second, and by
// one with another cache_salt, which must find nothing.
struct PrefixTimes {
  struct Part {
    std::vector<double> ttft;  // seconds, one a repeat
    size_t cached_tokens = 0;  // the most of any repeat
  };
  Part first, second, salted;
};

struct PrefixLoad {
  size_t prefix_tokens = 2000;
  size_t repeats = 3;  // each with a prefix of its own
};

Result<PrefixTimes> MeasurePrefix(Bench& bench, const PrefixLoad& load);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_PREFIX_H_
