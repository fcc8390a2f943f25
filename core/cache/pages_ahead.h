// Memory of a cache that is taken from Linux shortly before it is written. A large page is all
// zeros when it is given out, and making it so takes longer than many a kernel, in a virtual
// machine 5 ms where its host has to find the memory: where each layer's tensors come to their next
// page in the same step, that step would last several times as long as the others.
#ifndef KEEL_CORE_CACHE_PAGES_AHEAD_H_
#define KEEL_CORE_CACHE_PAGES_AHEAD_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace keel {

// Takes them on a thread of its own, and so a processor from those who compute: the regions come to
// their next pages one after the other, so that it is never away for long. Thread-safe. The regions
// have to outlive it.
class PagesAhead {
 public:
  // Mapped memory, which begins with a page, of as many blocks as all others.
  struct Region {
    char* begin = nullptr;
    int64_t block_bytes = 0;
  };
  PagesAhead(std::vector<Region> regions, int64_t num_blocks);
  ~PagesAhead();
  PagesAhead(const PagesAhead&) = delete;
  PagesAhead& operator=(const PagesAhead&) = delete;

  // Blocks up to this one are in use, or will be at once. Comes back at once.
  void Use(int64_t block);

  // How many bytes of a region are to be there when so many blocks are in use.
  static int64_t Wanted(int64_t block_bytes, int64_t num_blocks, int64_t used, int64_t ahead);

  // How many bytes ahead region `i` of `n` is: from half a page to one and a half, no two alike.
  static int64_t Ahead(size_t i, size_t n);

 private:
  void Run();

  const std::vector<Region> regions_;
  const int64_t num_blocks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t used_ = 0;  // blocks
  bool stop_ = false;
  std::thread thread_;  // last: it uses all else
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_PAGES_AHEAD_H_
