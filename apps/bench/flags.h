// The bench's own flags.
#ifndef KEEL_APPS_BENCH_FLAGS_H_
#define KEEL_APPS_BENCH_FLAGS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "apps/bench/token_range.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct BenchFlags {
  std::string scenario = "speed";
  std::string shape;  // of random weights, instead of a model; "": none
  std::vector<size_t> batches = {1, 8};
  TokenRange prompt_tokens{512, 512}, new_tokens{32, 32};
  size_t repeats = 3;
  std::vector<size_t> concurrency = {1, 4, 16, 64};
  size_t requests = 0;  // 0: by concurrency
  size_t streams = 16;
  size_t long_tokens = 4000;
  size_t prefix_tokens = 2000;
  std::string base_url = "http://127.0.0.1:8000";
  double request_rate = 0;  // a second; 0: all at once
  double burstiness = 1;
  size_t max_concurrency = 0;  // 0: no bound
  size_t vocab_size = 1000;
  std::vector<size_t> rows = {1, 4, 16, 64, 512};
  bool as_json = false;
  bool metrics = false;
};

// `flags` must live as long as `app`.
void AddBenchFlags(CLI::App& app, BenchFlags* flags);
// After parsing: INVALID_ARGUMENT for a flag that the scenario does not use, or a value that it
// does not take.
Status CheckBenchFlags(const CLI::App& app, const BenchFlags& flags);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_FLAGS_H_
