#include "apps/bench/measure.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <semaphore>

namespace keel::apps {
namespace {

using Prompt = std::vector<int32_t>;

// Waits for a number of requests and keeps the first failure.
class Gate {
 public:
  void Ended(const Output& output) {
    if (const Status status = output.status(); !status.ok()) {
      const std::lock_guard lock(mutex_);
      if (status_.ok()) status_ = status;
    }
    ended_.release();
  }
  Status Wait(size_t requests) {
    for (size_t i = 0; i < requests; ++i) ended_.acquire();
    return status_;
  }

 private:
  std::mutex mutex_;
  Status status_;
  std::counting_semaphore<> ended_{0};
};

// Seconds until every prompt has `tokens` new tokens.
Result<double> Run(Engine& engine, const std::vector<Prompt>& prompts, size_t tokens) {
  std::vector<Request> requests(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    Request& request = requests[i];
    for (const Status& status : {request.SetPromptTokens(prompts[i]),
                                 request.SetInt("max_tokens", static_cast<int64_t>(tokens)),
                                 request.SetInt("ignore_eos", 1), request.SetInt("stream", 0),
                                 request.SetFloat("temperature", 0)}) {
      if (!status.ok()) return status;
    }
  }
  Gate gate;
  size_t submitted = 0;
  Status refusal;
  const auto start = std::chrono::steady_clock::now();
  for (const Request& request : requests) {
    const auto id = engine.Submit(request, [&gate](const Output& output) {
      if (output.is_last()) gate.Ended(output);
    });
    if (!id.ok()) {
      refusal = id.status();
      break;
    }
    ++submitted;
  }
  const Status status = gate.Wait(submitted);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!refusal.ok()) return refusal;
  if (!status.ok()) return status;
  return took.count();
}

}  // namespace

Result<Times> Measure(Engine& engine, const Workload& workload) {
  std::mt19937 random(0);
  std::uniform_int_distribution<int32_t> ids(0, static_cast<int32_t>(workload.vocab_size) - 1);
  const auto prompts = [&] {
    std::vector<Prompt> all(workload.batch, Prompt(workload.prompt_tokens));
    for (Prompt& prompt : all)
      std::generate(prompt.begin(), prompt.end(), [&] { return ids(random); });
    return all;
  };
  Times times;
  for (size_t i = 0; i < workload.repeats + 1; ++i) {
    const Result<double> prefill = Run(engine, prompts(), 1);
    if (!prefill.ok()) return prefill.status();
    const Result<double> both = Run(engine, prompts(), 1 + workload.new_tokens);
    if (!both.ok()) return both.status();
    if (i == 0) continue;  // the first run warms up
    times.prefill.push_back(*prefill);
    times.decode.push_back(*both - *prefill);
  }
  return times;
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace keel::apps
