#include "core/cache/pages_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "core/kernels/huge_memory.h"

namespace keel {
namespace {

// Older headers do not have it; an older Linux refuses, and pages come when they are written.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

}  // namespace

int64_t PagesAhead::Wanted(int64_t block_bytes, int64_t num_blocks, int64_t used, int64_t ahead) {
  const int64_t bytes = block_bytes * used + ahead;
  return std::min((bytes + kHugePage - 1) / kHugePage * kHugePage, block_bytes * num_blocks);
}

int64_t PagesAhead::Ahead(size_t i, size_t n) {
  return kHugePage / 2 + kHugePage * static_cast<int64_t>(i) / static_cast<int64_t>(n);
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

// A page at a time, of the region that lacks most: the first of them before any block is used.
void PagesAhead::Run() {
  std::vector<int64_t> taken(regions_.size(), 0);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    size_t next = 0;
    int64_t lacks = 0;
    for (size_t i = 0; i < regions_.size(); ++i) {
      const int64_t wanted =
          Wanted(regions_[i].block_bytes, num_blocks_, used_, Ahead(i, regions_.size()));
      const int64_t of_this = wanted - taken[i];
      if (of_this > lacks) {
        lacks = of_this;
        next = i;
      }
    }
    if (lacks == 0) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    const int64_t bytes = std::min(lacks, kHugePage);
    madvise(regions_[next].begin + taken[next], bytes, MADV_POPULATE_WRITE);
    taken[next] += bytes;
    lock.lock();
  }
}

}  // namespace keel
