// Memory for a plugin's data plane, with borders that show when it is left.
#ifndef KEEL_CORE_CONFORMANCE_WATCHED_MEMORY_H_
#define KEEL_CORE_CONFORMANCE_WATCHED_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace keel::conformance {

enum class Border {
  kLoose,  // a page beyond each end may be read and written: for checks of something else
  kTight,  // the last byte is followed by a page that ends the process
};

// Cleared memory of its own pages. Throws std::bad_alloc.
class WatchedMemory {
 public:
  // With a tight border the data begins at a multiple of `alignment` and ends as near to the border
  // as that allows; else it begins `offset` bytes behind a page's start.
  WatchedMemory(size_t bytes, size_t alignment, Border border, size_t offset = 0);
  ~WatchedMemory();
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Writing to it ends the process from now on.
  void MakeReadOnly();
  // Whether the bytes of its pages beside the data are as they were.
  bool IsIntact() const;

 private:
  uint8_t* map_ = nullptr;
  size_t mapped_ = 0;
  uint8_t* pages_ = nullptr;  // those that hold the data, with what is beside it
  size_t in_pages_ = 0;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_WATCHED_MEMORY_H_
