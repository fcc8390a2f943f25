#include "apps/bench/throughput.h"

#include <random>
#include <string>
#include <vector>

namespace keel::apps {

Result<Throughput> MeasureThroughput(Bench& bench, const ThroughputLoad& load, size_t concurrency) {
  std::mt19937 random(0);
  std::vector<Ask> asks(load.requests);
  for (Ask& ask : asks) {
    ask.prompt = bench.prompts.Next(load.prompt_tokens.Draw(random));
    ask.new_tokens = load.new_tokens.Draw(random);
  }
  const auto ran =
      RunClosedLoop(bench, asks, concurrency, std::to_string(concurrency) + " at once");
  if (!ran.ok()) return ran.status();

  Throughput result{.concurrency = concurrency, .seconds = Duration(*ran)};
  std::vector<double> ttft, itl, e2e;
  size_t outputs = 0;
  for (size_t i = 0; i < ran->size(); ++i) {
    const TokenTimes& times = (*ran)[i];
    outputs += times.arrivals.size();
    result.output_tokens += times.tokens();
    if (!times.arrivals.empty()) result.prompt_tokens += asks[i].prompt.size();
    if (!times.is_complete()) continue;
    ++result.requests;
    ttft.push_back(times.time_to_first_token());
    e2e.push_back(times.end_to_end());
    for (const Gap& gap : times.gaps()) AppendPerToken(gap, &itl);
  }
  if (outputs > 0) {
    result.tokens_per_output =
        static_cast<double>(result.output_tokens) / static_cast<double>(outputs);
  }
  result.ttft = Summarize(std::move(ttft));
  result.itl = Summarize(std::move(itl));
  result.e2e = Summarize(std::move(e2e));
  return result;
}

}  // namespace keel::apps
