#include "core/kernels/huge_memory.h"

#include <sys/mman.h>

#include <algorithm>

namespace keel {
namespace {

int64_t RoundUp(int64_t bytes) {
  return (std::max<int64_t>(bytes, 1) + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace

void HugeMemoryFree::operator()(char* p) const { munmap(p, RoundUp(bytes_)); }

HugeMemory AllocateHugeMemory(int64_t bytes) {
  const int64_t size = RoundUp(bytes);
  void* mapped = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return HugeMemory(nullptr, HugeMemoryFree(bytes));
  // What is before and behind the aligned part goes back.
  char* const begin = static_cast<char*>(mapped);
  const int64_t before = -reinterpret_cast<intptr_t>(begin) & (kHugePage - 1);
  if (before != 0) munmap(begin, before);
  if (before != kHugePage) munmap(begin + before + size, kHugePage - before);
  madvise(begin + before, size,
          MADV_HUGEPAGE);  // refused where there are none: small pages do, too
  return HugeMemory(begin + before, HugeMemoryFree(bytes));
}

}  // namespace keel
