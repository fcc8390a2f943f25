// Requests that run on an engine, and when their tokens come.
#ifndef KEEL_APPS_BENCH_TRACKER_H_
#define KEEL_APPS_BENCH_TRACKER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "apps/bench/token_times.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Times are taken in the engine's callback. Its functions are called from one thread.
class Tracker {
 public:
  explicit Tracker(Engine& engine) : engine_(engine) {}
  // Cancels what runs and waits for it.
  ~Tracker();
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // Returns the request's number, from 0.
  Result<size_t> Submit(const Request& request);
  // Ends what runs soon.
  void Cancel();
  // Waits until at most `running` requests run or `pause` has passed; returns whether so few run.
  bool WaitForRunning(size_t running, std::chrono::milliseconds pause);

  // What `read` makes of the times up to now; the engine waits meanwhile.
  template <typename Fn>
  auto Read(const Fn& read) {
    const std::lock_guard lock(mutex_);
    return read(std::as_const(times_));
  }
  size_t running();
  // A copy of the times up to now.
  std::vector<TokenTimes> times();
  // The first error that a request ended with.
  Status status();

 private:
  void OnOutput(size_t number, const Output& output);

  Engine& engine_;
  std::vector<uint64_t> ids_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<TokenTimes> times_;  // stay where they are
  size_t running_ = 0;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_TRACKER_H_
