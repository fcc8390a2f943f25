#include "core/exec/rank_threads.h"

namespace keel {

RankThreads::RankThreads(int ranks) {
  for (int rank = 1; rank < ranks; ++rank) threads_.emplace_back([this, rank] { Work(rank); });
}

RankThreads::~RankThreads() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void RankThreads::Run(absl::FunctionRef<void(int rank)> f) {
  {
    absl::MutexLock lock(&mutex_);
    f_.emplace(f);
    num_running_ = threads_.size();
    ++calls_;
  }
  f(0);
  absl::MutexLock lock(&mutex_);
  const auto all_done = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return num_running_ == 0; };
  mutex_.Await(absl::Condition(&all_done));
}

void RankThreads::Work(int rank) {
  uint64_t seen = 0;
  const auto is_called = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return calls_ != seen || stopping_;
  };
  absl::MutexLock lock(&mutex_);
  for (;;) {
    mutex_.Await(absl::Condition(&is_called));
    if (stopping_) return;
    seen = calls_;
    const absl::FunctionRef<void(int)> f = *f_;
    mutex_.Unlock();
    f(rank);
    mutex_.Lock();
    --num_running_;
  }
}

}  // namespace keel
