#include "apps/server/heap_trimmer.h"

#include <chrono>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace keel::apps {
namespace {

// Until the request's last holders let go of it.
constexpr std::chrono::milliseconds kDelay(300);

void Trim() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace

HeapTrimmer::HeapTrimmer() : thread_([this](std::stop_token stop) { Run(stop); }) {}

void HeapTrimmer::TrimSoon() {
  std::lock_guard lock(mutex_);
  is_wanted_ = true;
  wanted_.notify_one();
}

void HeapTrimmer::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (wanted_.wait(lock, stop, [&] { return is_wanted_; })) {
    wanted_.wait_for(lock, stop, kDelay, [] { return false; });
    is_wanted_ = false;
    lock.unlock();
    Trim();
    lock.lock();
  }
}

}  // namespace keel::apps
