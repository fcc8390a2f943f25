#include "core/cache/pages_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "core/kernels/huge_memory.h"

namespace keel {
namespace {

// The next page is taken when half of one is used.
constexpr int64_t kAhead = kHugePage / 2;

// Older headers do not have it; an older Linux refuses, and pages come when they are written.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

}  // namespace

int64_t PagesAhead::Wanted(int64_t block_bytes, int64_t num_blocks, int64_t used) {
  const int64_t bytes = block_bytes * used + kAhead;
  return std::min((bytes + kHugePage - 1) / kHugePage * kHugePage, block_bytes * num_blocks);
}

PagesAhead::PagesAhead(std::vector<Region> regions, int64_t num_blocks)
    : regions_(std::move(regions)), num_blocks_(num_blocks), thread_([this] { Run(); }) {}

PagesAhead::~PagesAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PagesAhead::Use(int64_t block) {
  {
    const std::lock_guard lock(mutex_);
    if (block < used_) return;
    used_ = block + 1;
  }
  changed_.notify_one();
}

void PagesAhead::Run() {
  std::vector<int64_t> taken(regions_.size(), 0);
  int64_t done = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || used_ > done; });
      if (stop_) return;
      done = used_;
    }
    for (size_t i = 0; i < regions_.size(); ++i) {
      const int64_t wanted = Wanted(regions_[i].block_bytes, num_blocks_, done);
      if (wanted <= taken[i]) continue;
      madvise(regions_[i].begin + taken[i], wanted - taken[i], MADV_POPULATE_WRITE);
      taken[i] = wanted;
    }
  }
}

}  // namespace keel
