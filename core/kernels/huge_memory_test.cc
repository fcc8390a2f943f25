#include "core/kernels/huge_memory.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace keel {
namespace {

TEST(HugeMemoryTest, IsAlignedZeroAndWritableToItsEnd) {
  for (const int64_t bytes : {0, 1, 4096, (2 << 20) - 1, (2 << 20) + 1, 5 << 20}) {
    const HugeMemory memory = AllocateHugeMemory(bytes);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % (2 << 20), 0u) << bytes;
    if (bytes == 0) continue;
    EXPECT_EQ(memory.get()[0], 0);
    EXPECT_EQ(memory.get()[bytes - 1], 0);
    memory.get()[bytes - 1] = 1;
  }
}

TEST(HugeMemoryTest, MoreThanThereIsIsRefused) {
  EXPECT_EQ(AllocateHugeMemory(int64_t{1} << 60), nullptr);
}

}  // namespace
}  // namespace keel
