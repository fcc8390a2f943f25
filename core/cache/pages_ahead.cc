#include "core/cache/pages_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/kernels/huge_memory.h"

namespace keel {
namespace {

constexpr int kPause = 6;  // times as long as a page took

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

// A page at a time, for the region whose memory ends first: the first of them before any block is
// used. Where there is time, with pauses: sequences that began together come to their next blocks
// together, and the pages for those would make one step long.
void PagesAhead::Run() {
  std::vector<int64_t> taken(regions_.size(), 0);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    size_t next = regions_.size();
    int64_t wanted = 0;  // bytes of it
    int64_t unused = 0;  // bytes of it that are there
    for (size_t i = 0; i < regions_.size(); ++i) {
      const int64_t block_bytes = regions_[i].block_bytes;
      const int64_t wants = Wanted(block_bytes, num_blocks_, used_, Ahead(i, regions_.size()));
      const int64_t has = taken[i] - block_bytes * used_;
      if (wants <= taken[i] || (next < regions_.size() && has >= unused)) continue;
      next = i;
      wanted = wants;
      unused = has;
    }
    if (next == regions_.size()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    const auto start = std::chrono::steady_clock::now();
    const int64_t bytes = std::min(wanted - taken[next], kHugePage);
    madvise(regions_[next].begin + taken[next], bytes, MADV_POPULATE_WRITE);
    taken[next] += bytes;
    const auto took = std::chrono::steady_clock::now() - start;
    lock.lock();
    if (unused > kHugePage / 4) changed_.wait_for(lock, kPause * took, [this] { return stop_; });
  }
}

}  // namespace keel
