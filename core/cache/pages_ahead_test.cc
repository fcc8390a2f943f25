#include "core/cache/pages_ahead.h"

#include <sys/mman.h>

#include <chrono>
#include <thread>
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
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 0), 2 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 1000), 2 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 100'000, 1100), 4 * kMiB);
  EXPECT_EQ(PagesAhead::Wanted(1000, 1100, 1100), 1'100'000);
}

TEST(PagesAheadTest, TakesWhatIsAboutToBeUsedAndNoMore) {
  const int64_t bytes = 16 * kMiB;
  const HugeMemory memory = AllocateHugeMemory(bytes);
  ASSERT_NE(memory, nullptr);
  if (madvise(memory.get(), 4096, 23 /* MADV_POPULATE_WRITE */) != 0) {
    GTEST_SKIP() << "this Linux cannot take pages ahead";
  }
  PagesAhead ahead({{memory.get(), 4096}}, bytes / 4096);
  memory.get()[5000] = 7;
  ahead.Use(600);  // 2.3 MiB
  for (int i = 0; i < 2000 && ResidentBytes(memory.get(), bytes) < 4 * kMiB; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(ResidentBytes(memory.get(), bytes), 4 * kMiB);
  EXPECT_EQ(memory.get()[5000], 7);
  ahead.Use(3);  // less than before
  EXPECT_EQ(ResidentBytes(memory.get(), bytes), 4 * kMiB);
}

}  // namespace
}  // namespace keel
