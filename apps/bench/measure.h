// Prefill and decode times of an engine.
#ifndef KEEL_APPS_BENCH_MEASURE_H_
#define KEEL_APPS_BENCH_MEASURE_H_

#include <cstddef>
#include <vector>

#include "apps/bench/closed_loop.h"
#include "apps/bench/roofline.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct Workload {
  size_t batch = 1;  // requests at once
  size_t prompt_tokens = 512;
  size_t new_tokens = 32;  // decode steps
  size_t repeats = 3;      // after one run to warm up
};

// Seconds of each repeat; after a stop, of fewer.
struct Times {
  std::vector<double> prefill;  // all prompts, up to the first token of the last request
  std::vector<double> decode;   // new_tokens more of each request
};

// Runs each repeat twice: with one token a request for the prefill, and with 1 + new_tokens, whose
// time beyond that is the decode's. Samples `roofline` before each.
Result<Times> Measure(Bench& bench, const Workload& workload, Roofline& roofline);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_MEASURE_H_
