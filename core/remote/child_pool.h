// A few children that answer one call each at a time and keep nothing between calls.
#ifndef KEEL_CORE_REMOTE_CHILD_POOL_H_
#define KEEL_CORE_REMOTE_CHILD_POOL_H_

#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace keel {

// Child: movable, with `bool is_alive() const`. Thread-safe.
template <typename Child>
class ChildPool {
 public:
  // `size`: children at most. `open` makes one, on the thread that needs it.
  ChildPool(int size, std::function<absl::StatusOr<Child>()> open)
      : size_(size), open_(std::move(open)) {}

  // Opens a child now, so that what stands against it shows early.
  absl::Status Start() {
    absl::StatusOr<Child> first = Take();
    if (first.ok()) Give(*std::move(first));
    return first.status();
  }

  // What `call` gives for a child that is free, or a new one, or waits for one. A child that is dead
  // afterwards is dropped; the next call gets another.
  template <typename Result>
  absl::StatusOr<Result> Use(const std::function<absl::StatusOr<Result>(Child&)>& call) {
    absl::StatusOr<Child> child = Take();
    if (!child.ok()) return child.status();
    absl::StatusOr<Result> result = call(*child);
    Give(*std::move(child));
    return result;
  }

 private:
  absl::StatusOr<Child> Take() {
    {
      const absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !idle_.empty() || taken_ < size_;
      };
      mutex_.Await(absl::Condition(&ready));
      ++taken_;
      if (!idle_.empty()) {
        Child child = std::move(idle_.back());
        idle_.pop_back();
        return child;
      }
    }
    absl::StatusOr<Child> child = open_();
    if (!child.ok()) {
      const absl::MutexLock lock(&mutex_);
      --taken_;
    }
    return child;
  }

  void Give(Child child) {
    const absl::MutexLock lock(&mutex_);
    --taken_;
    if (child.is_alive()) idle_.push_back(std::move(child));
  }

  const int size_;
  const std::function<absl::StatusOr<Child>()> open_;
  absl::Mutex mutex_;
  std::vector<Child> idle_ ABSL_GUARDED_BY(mutex_);
  int taken_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_CHILD_POOL_H_
