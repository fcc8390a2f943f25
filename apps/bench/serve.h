// Load on a server that speaks OpenAI's API: requests arrive at a rate, as users do, and nothing waits for an answer.
#ifndef KEEL_APPS_BENCH_SERVE_H_
#define KEEL_APPS_BENCH_SERVE_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "apps/bench/event_stream.h"
#include "apps/bench/statistics.h"
#include "apps/bench/token_range.h"
#include "apps/common/progress.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct ServeLoad {
  HttpUrl url = {};
  std::string model = {};  // "": the first that the server lists
  size_t requests = 100;
  TokenRange prompt_tokens = {}, new_tokens = {};
  double request_rate = 0;  // a second, on average; 0: all at once
  double burstiness =
      1;  // of gaps between arrivals, gamma-distributed: 1 is a Poisson process, less comes in bursts
  size_t max_concurrency =
      0;  // requests that run at once at most, others wait with the client; 0: no bound
  int64_t vocab_size = 0;  // of the prompts' random token ids
};

struct ServeResult {
  std::string model;
  size_t completed = 0, failed = 0;
  double seconds = 0;  // from the first request to the last answer's end
  size_t input_tokens = 0, output_tokens = 0;
  // Of completed requests, seconds. tpot: of a request's tokens after the first, the mean; itl: between two events.
  Summary ttft = {}, tpot = {}, itl = {}, e2el = {};
  Status first_error;
};

// Sends requests to /v1/completions and reads the streams. An error only where no request can be sent at all.
Result<ServeResult> MeasureServe(const ServeLoad& load, Progress& progress,
                                 const std::atomic<bool>& stop);

// Seconds after the start at which each of `load.requests` arrives, ascending.
std::vector<double> Arrivals(const ServeLoad& load);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_SERVE_H_
