// Load: a number of requests at once, each followed by the next.
#ifndef KEEL_APPS_BENCH_CLOSED_LOOP_H_
#define KEEL_APPS_BENCH_CLOSED_LOOP_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "apps/bench/prompts.h"
#include "apps/bench/token_times.h"
#include "apps/common/progress.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What every scenario runs with. Nothing else may run on the engine.
struct Bench {
  Engine& engine;
  Prompts prompts;
  Progress& progress;
  const std::atomic<bool>& stop;  // set: end soon, with what was measured
};

// Runs all `asks` in their order, `concurrency` at once: when one ends, the next is submitted.
// Returns the times of those that ran; after a stop some are missing and some not complete. An
// error of any of them is the result. `label` says for the progress what runs.
Result<std::vector<TokenTimes>> RunClosedLoop(Bench& bench, const std::vector<Ask>& asks,
                                              size_t concurrency, const std::string& label);
// From the first submission to the last end; 0 of none.
double Duration(const std::vector<TokenTimes>& all);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_CLOSED_LOOP_H_
