#include "core/conformance/test_tensor.h"

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::conformance {
namespace {

TEST(WatchedMemoryTest, AWriteBehindATightBorderEndsTheProcess) {
  const WatchedMemory tight(100, 4, Border::kTight), loose(100, 4, Border::kLoose);
  loose.data()[loose.size()] = 1;
  EXPECT_FALSE(loose.IsIntact());
  EXPECT_TRUE(tight.IsIntact());
  EXPECT_DEATH(tight.data()[tight.size()] = 1, "");
}

TEST(WatchedMemoryTest, AWriteBeforeTheDataIsSeen) {
  const WatchedMemory memory(100, 4, Border::kTight);
  memory.data()[-1] = 1;
  EXPECT_FALSE(memory.IsIntact());
}

TEST(WatchedMemoryTest, ReadOnlyMemoryCantBeWritten) {
  WatchedMemory memory(8, 8, Border::kTight);
  memory.data()[0] = 1;
  memory.MakeReadOnly();
  EXPECT_EQ(memory.data()[0], 1);
  EXPECT_DEATH(memory.data()[0] = 2, "");
}

TEST(TestTensorTest, KeepsNumbersOfEachTypeWhereverItLies) {
  for (const uint32_t dtype : {KEEL_F32, KEEL_BF16, KEEL_I64, KEEL_I32, KEEL_I8, KEEL_U8}) {
    for (const Placement& placement : {Placement{}, Placement{.border = Border::kTight},
                                       Placement{.offset = 8, .byte_offset = 16, .gap = 3}}) {
      TestTensor tensor(dtype, {2, 3, 4}, placement);
      for (int64_t i = 0; i < tensor.elements(); ++i) tensor.Set(i, static_cast<double>(i));
      for (int64_t i = 0; i < tensor.elements(); ++i) EXPECT_EQ(tensor.At(i), i);
      EXPECT_TRUE(tensor.IsIntact());
      const keel_dl_tensor& view = *tensor.get();
      EXPECT_EQ(view.strides[1], 4 + placement.gap);
      EXPECT_EQ(view.byte_offset, placement.byte_offset);
    }
  }
}

TEST(TestTensorTest, TakesRowsAndTheFirstOfEach) {
  TestTensor tensor(KEEL_F32, {3, 4});
  for (int64_t i = 0; i < 12; ++i) tensor.Set(i, static_cast<double>(i));
  const TestTensor rows = tensor.Rows({2, 0});
  EXPECT_EQ(rows.shape(), (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(rows.At(0), 8);
  EXPECT_EQ(rows.At(4), 0);
  const TestTensor first = tensor.FirstOfRows(2);
  EXPECT_EQ(first.At(2), 4);  // of the second row
  tensor.Set(4, 50);
  EXPECT_EQ(first.At(2), 50);  // the same memory
}

TEST(TestTensorTest, ANanIsInfinitelyFarFromEveryNumber) {
  TestTensor a(KEEL_F32, {2}), b(KEEL_F32, {2});
  b.Set(1, 0.5);
  EXPECT_EQ(a.Apart(b), 0.5);
  b.FillBytes(0xff);
  EXPECT_GT(a.Apart(b), 1e300);
  EXPECT_TRUE(b.HasNan());
}

TEST(TestContextTest, CoversTheRangeOnceWithAsManyThreadsAsAsked) {
  for (const int pieces : {1, 3}) {
    TestContext context(pieces);
    std::vector<int> seen(10, 0);
    const keel_kernel_context* abi = context.With();
    abi->parallel_for(
        abi->pool, 10, 2,
        [](void* arg, int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++(*static_cast<std::vector<int>*>(arg))[i];
        },
        &seen);
    EXPECT_THAT(seen, ::testing::Each(1));
  }
}

}  // namespace
}  // namespace keel::conformance
