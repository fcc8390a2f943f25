// How many tokens a second come out when many ask at once.
#ifndef KEEL_APPS_BENCH_THROUGHPUT_H_
#define KEEL_APPS_BENCH_THROUGHPUT_H_

#include <cstddef>

#include "apps/bench/closed_loop.h"
#include "apps/bench/statistics.h"
#include "apps/bench/token_range.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct Throughput {
  size_t concurrency = 0;
  size_t requests = 0;  // complete ones
  size_t prompt_tokens = 0, output_tokens = 0;
  double seconds = 0;
  double tokens_per_output = 0;
  Summary ttft = {}, itl = {}, e2e = {};  // seconds, of complete requests

  double output_tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(output_tokens) / seconds : 0;
  }
};

struct ThroughputLoad {
  size_t requests = 0;
  TokenRange prompt_tokens = {}, new_tokens = {};
};

// Request i is as long at every concurrency, and of other tokens: nothing is found in the prefix
// cache.
Result<Throughput> MeasureThroughput(Bench& bench, const ThroughputLoad& load, size_t concurrency);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_THROUGHPUT_H_
