#include "apps/bench/tracker.h"

namespace keel::apps {

Tracker::~Tracker() {
  Cancel();
  while (!WaitForRunning(0, std::chrono::seconds(1))) {
  }
}

Result<size_t> Tracker::Submit(const Request& request) {
  size_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = times_.size();
    times_.emplace_back().submitted = Clock::now();
    ++running_;
  }
  const Result<uint64_t> id =
      engine_.Submit(request, [this, number](const Output& output) { OnOutput(number, output); });
  if (id.ok()) {
    ids_.push_back(*id);
    return number;
  }
  const std::lock_guard lock(mutex_);
  times_.pop_back();
  --running_;
  return id.status();
}

void Tracker::Cancel() {
  for (const uint64_t id : ids_) (void)engine_.Cancel(id);  // most have ended
}

bool Tracker::WaitForRunning(size_t running, std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, pause, [&] { return running_ <= running; });
}

size_t Tracker::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::vector<TokenTimes> Tracker::times() {
  const std::lock_guard lock(mutex_);
  return {times_.begin(), times_.end()};
}

Status Tracker::status() {
  const std::lock_guard lock(mutex_);
  for (const TokenTimes& times : times_) {
    if (!times.status.ok()) return times.status;
  }
  return Status();
}

void Tracker::OnOutput(size_t number, const Output& output) {
  const Clock::time_point now = Clock::now();
  const std::lock_guard lock(mutex_);
  TokenTimes& times = times_[number];
  if (!output.tokens().empty()) times.arrivals.push_back({now, output.tokens().size()});
  if (!output.is_last()) return;
  times.ended = now;
  times.cached_tokens = output.cached_tokens();
  times.finish_reason = output.finish_reason();
  times.status = output.status();
  --running_;
  ended_.notify_one();  // not at each token: waking up costs the engine
}

}  // namespace keel::apps
