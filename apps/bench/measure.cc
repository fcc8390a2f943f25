#include "apps/bench/measure.h"

#include <string>

namespace keel::apps {
namespace {

// Seconds until every prompt of a batch has `tokens` new tokens.
Result<double> Run(Bench& bench, const Workload& workload, size_t tokens,
                   const std::string& label) {
  std::vector<Ask> asks(workload.batch);
  for (Ask& ask : asks) {
    ask = {.prompt = bench.prompts.Next(workload.prompt_tokens),
           .new_tokens = tokens,
           .stream = false};
  }
  const auto ran = RunClosedLoop(bench, asks, workload.batch, label);
  if (!ran.ok()) return ran.status();
  return Duration(*ran);
}

}  // namespace

Result<Times> Measure(Bench& bench, const Workload& workload, Roofline& roofline) {
  Times times;
  for (size_t i = 0; i < workload.repeats + 1 && !bench.stop; ++i) {
    const std::string label = "batch " + std::to_string(workload.batch) + ", run " +
                              std::to_string(i + 1) + " of " + std::to_string(workload.repeats + 1);
    if (i > 0) roofline.Sample();
    const Result<double> prefill = Run(bench, workload, 1, label);
    if (!prefill.ok()) return prefill.status();
    if (i > 0) roofline.Sample();
    const Result<double> both = Run(bench, workload, 1 + workload.new_tokens, label);
    if (!both.ok()) return both.status();
    if (i == 0 || bench.stop) continue;  // the first run warms up
    times.prefill.push_back(*prefill);
    times.decode.push_back(*both - *prefill);
  }
  return times;
}

}  // namespace keel::apps
