#include "core/cache/pages_ahead.h"

#include <sys/mman.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "core/kernels/huge_memory.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

constexpr int64_t kMiB = 1 << 20;

int64_t ResidentBytes(char* begin, int64_t bytes) {
  std::vector<unsigned char> pages(bytes / 4096);
  EXPECT_EQ(mincore(begin, bytes, pages.data()), 0);
  int64_t resident = 0;
  for (const unsigned char page : pages) resident += (page & 1) * 4096;
  return resident;
}

TEST(PagesAheadTest, WantsTheNextPageWhenHalfOfOneIsUsed) {
  const int64_t ahead = PagesAhead::Ahead(0, 1);
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 0, ahead), 2 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 1000, ahead), 2 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 1100, ahead), 4 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 1100, 1100, ahead), 1'100'000);
}

// Keys and values of 30 layers: all at once, their next pages would take a processor for half a
// second.
TEST(PagesAheadTest, NoTwoRegionsWantTheirNextPagesForTheSameBlock) {
  constexpr size_t kRegions = 60;
  constexpr int64_t kBlockBytes = 6144;
  std::vector<int64_t> before(kRegions);
  for (int64_t used = 0; used < 4000; ++used) {
    int64_t pages = 0;
    for (size_t i = 0; i < kRegions; ++i) {
      const int64_t wanted =
          PagesAhead::Wanted(kBlockBytes, 5000, used, PagesAhead::Ahead(i, kRegions));
      EXPECT_GE(wanted, kBlockBytes * used + kMiB);
      pages += (wanted - std::exchange(before[i], wanted)) / (2 * kMiB);
    }
    if (used > 0) {
      EXPECT_LE(pages, 1) << used;
    }
  }
}

TEST(PagesAheadTest, TakesWhatIsAboutToBeUsedAndNoMore) {
  const int64_t bytes = 16 * kMiB;
  const HugeMemory memory = AllocateHugeMemory(bytes);
  ASSERT_NE(memory, nullptr);
  if (madvise(memory.get(), 4096, 23 /* MADV_POPULATE_WRITE */) != 0) {
    GTEST_SKIP() << "this Linux cannot take pages ahead";
  }
  PagesAhead ahead({{memory.get(), 4096}}, bytes / 4096);
  const auto wait_for = [&](int64_t wanted) {
    for (int i = 0; i < 2000 && ResidentBytes(memory.get(), bytes) < wanted; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return ResidentBytes(memory.get(), bytes);
  };
  EXPECT_EQ(wait_for(2 * kMiB), 2 * kMiB);  // before anything is used
  memory.get()[5000] = 7;
  ahead.Use(600);  // 2.3 MiB
  EXPECT_EQ(wait_for(4 * kMiB), 4 * kMiB);
  EXPECT_EQ(memory.get()[5000], 7);
  ahead.Use(3);  // less than before
  EXPECT_EQ(ResidentBytes(memory.get(), bytes), 4 * kMiB);
}

}  // namespace
}  // namespace keel
