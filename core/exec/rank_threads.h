// Threads that wait for steps, one a rank: what kernels keep for each thread stays from step to step.
#ifndef KEEL_CORE_EXEC_RANK_THREADS_H_
#define KEEL_CORE_EXEC_RANK_THREADS_H_

#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace keel {

// One caller at a time.
class RankThreads {
 public:
  // For `ranks` >= 1 of them, the first of which is the caller's.
  explicit RankThreads(int ranks);
  ~RankThreads();
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;

  // Calls f(rank) for each, at the same time, so they may wait for each other; returns when all are done. `f` must not
  // throw.
  void Run(absl::FunctionRef<void(int rank)> f);

 private:
  void Work(int rank);

  absl::Mutex mutex_;
  std::optional<absl::FunctionRef<void(int)>> f_ ABSL_GUARDED_BY(mutex_);
  uint64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t num_running_ ABSL_GUARDED_BY(mutex_) = 0;  // threads in the last call
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace keel
#endif  // KEEL_CORE_EXEC_RANK_THREADS_H_
