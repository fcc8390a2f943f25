// Memory in large pages, for what is read from end to end at every step: packed weights, caches.
#ifndef KEEL_CORE_KERNELS_HUGE_MEMORY_H_
#define KEEL_CORE_KERNELS_HUGE_MEMORY_H_

#include <cstdint>
#include <memory>

namespace keel {

class HugeMemoryFree {
 public:
  explicit HugeMemoryFree(int64_t bytes = 0) : bytes_(bytes) {}
  void operator()(char* p) const;

 private:
  int64_t bytes_;
};
using HugeMemory = std::unique_ptr<char, HugeMemoryFree>;

inline constexpr int64_t kHugePage = 2 << 20;

// `bytes` of zeros, aligned to 2 MiB, in pages of 2 MiB where Linux has some to give (transparent huge pages). With
// pages of 4 KiB a virtual machine reads a stream at 0.6 to 0.8 of the speed: it waits for translations.
// Pages are taken when they are first touched, so threads that will read a part should also fill it. Null where
// memory is out.
HugeMemory AllocateHugeMemory(int64_t bytes);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_HUGE_MEMORY_H_
