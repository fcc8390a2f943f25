#include "core/conformance/watched_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace keel::conformance {
namespace {

constexpr uint8_t kPattern = 0xc5;  // beside the data

size_t PageSize() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

WatchedMemory::WatchedMemory(size_t bytes, size_t alignment, Border border, size_t offset)
    : size_(bytes) {
  const size_t page = PageSize();
  in_pages_ = (bytes + offset + alignment + page - 1) / page * page;
  mapped_ = in_pages_ + 2 * page;
  void* map = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  map_ = static_cast<uint8_t*>(map);
  if (border == Border::kTight) {
    pages_ = map_ + page;
    data_ = pages_ + (in_pages_ - bytes) / alignment * alignment;
  } else {
    pages_ = map_;
    in_pages_ = mapped_;
    data_ = map_ + page + offset;
  }
  if (mprotect(pages_, in_pages_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  std::memset(pages_, kPattern, in_pages_);
  std::memset(data_, 0, size_);
}

WatchedMemory::~WatchedMemory() { munmap(map_, mapped_); }

void WatchedMemory::MakeReadOnly() { mprotect(pages_, in_pages_, PROT_READ); }

bool WatchedMemory::IsIntact() const {
  const auto is_pattern = [](uint8_t byte) { return byte == kPattern; };
  return std::all_of(pages_, data_, is_pattern) &&
         std::all_of(data_ + size_, pages_ + in_pages_, is_pattern);
}

}  // namespace keel::conformance
