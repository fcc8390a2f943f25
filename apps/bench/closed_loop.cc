#include "apps/bench/closed_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "apps/bench/tracker.h"

namespace keel::apps {
namespace {

constexpr auto kPause = std::chrono::milliseconds(100);

}  // namespace

Result<std::vector<TokenTimes>> RunClosedLoop(Bench& bench, const std::vector<Ask>& asks,
                                              size_t concurrency, const std::string& label) {
  std::vector<Request> requests;
  for (const Ask& ask : asks) {
    Result<Request> request = MakeRequest(ask);
    if (!request.ok()) return request.status();
    requests.push_back(*std::move(request));
  }
  Tracker tracker(bench.engine);
  size_t submitted = 0;
  // False: stop.
  const auto wait_for_running = [&](size_t running) {
    while (!tracker.WaitForRunning(running, kPause)) {
      if (bench.stop) return false;
      const size_t ended = submitted - tracker.running();
      bench.progress.Show(
          label, static_cast<int64_t>(ended), static_cast<int64_t>(requests.size()),
          std::to_string(ended) + "/" + std::to_string(requests.size()) + " requests");
    }
    return !bench.stop;
  };
  for (const Request& request : requests) {
    if (!wait_for_running(concurrency - 1)) break;
    if (const auto number = tracker.Submit(request); !number.ok()) return number.status();
    ++submitted;
  }
  if (!wait_for_running(0)) {
    tracker.Cancel();
    while (!tracker.WaitForRunning(0, kPause)) {
    }
  }
  if (Status status = tracker.status(); !status.ok()) return status;
  return tracker.times();
}

double Duration(const std::vector<TokenTimes>& all) {
  if (all.empty()) return 0;
  const auto last = std::max_element(
      all.begin(), all.end(), [](const auto& a, const auto& b) { return a.ended < b.ended; });
  return SecondsBetween(all.front().submitted, last->ended);
}

}  // namespace keel::apps
