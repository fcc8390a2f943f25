#include "core/cache/block_pool.h"

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BlockPoolTest : public ::testing::Test {
 protected:
  ContentId Content(int32_t token) {
    const std::vector<int32_t> tokens = {token};
    return index_.Intern(0, tokens, "");
  }
  std::vector<int32_t> Take(BlockPool& pool, int32_t n) {
    std::vector<int32_t> blocks;
    EXPECT_TRUE(pool.Allocate(n, blocks));
    return blocks;
  }

  PrefixIndex index_;
};

TEST_F(BlockPoolTest, GivesAllOrNothing) {
  BlockPool pool(3, index_);
  std::vector<int32_t> blocks;
  EXPECT_FALSE(pool.Allocate(4, blocks));
  EXPECT_THAT(blocks, IsEmpty());
  EXPECT_TRUE(pool.Allocate(3, blocks));
  EXPECT_EQ(pool.num_available(), 0);
  KEEL_EXPECT_OK(pool.CheckIntegrity({1, 1, 1}));
}

TEST_F(BlockPoolTest, FindsAReleasedBlockByItsContent) {
  BlockPool pool(2, index_);
  const std::vector<int32_t> blocks = Take(pool, 1);
  const ContentId content = Content(7);
  pool.Publish(blocks[0], content);
  pool.Release(blocks);
  ASSERT_TRUE(pool.Contains(content));
  EXPECT_EQ(pool.Share(content), blocks[0]);
  EXPECT_EQ(pool.num_available(), 1);
}

TEST_F(BlockPoolTest, TakesFreeBlocksBeforeCachedOnesAndTheLeastRecentlyUsedOfThose) {
  BlockPool pool(3, index_);
  const std::vector<int32_t> blocks = Take(pool, 3);
  for (const int32_t block : blocks) pool.Publish(block, Content(block));
  pool.Release({&blocks[1], 1});
  pool.Release({&blocks[0], 1});
  EXPECT_THAT(Take(pool, 1), ElementsAre(blocks[1]));
  EXPECT_FALSE(pool.Contains(Content(blocks[1])));
  EXPECT_TRUE(pool.Contains(Content(blocks[0])));
  EXPECT_EQ(pool.num_evicted(), 1);
}

TEST_F(BlockPoolTest, TakesTheEndOfAPrefixBeforeItsBeginning) {
  BlockPool pool(2, index_);
  const std::vector<int32_t> blocks = Take(pool, 2);
  for (const int32_t block : blocks) pool.Publish(block, Content(block));
  pool.Release(blocks);
  EXPECT_THAT(Take(pool, 1), ElementsAre(blocks[1]));
}

TEST_F(BlockPoolTest, KeepsABlockWhileAnyoneUsesIt) {
  BlockPool pool(1, index_);
  const std::vector<int32_t> blocks = Take(pool, 1);
  pool.Share(blocks[0]);
  EXPECT_TRUE(pool.IsShared(blocks[0]));
  pool.Release(blocks);
  EXPECT_EQ(pool.num_available(), 0);
  pool.Release(blocks);
  EXPECT_EQ(pool.num_available(), 1);
}

TEST_F(BlockPoolTest, HoldsEachContentOnce) {
  BlockPool pool(2, index_);
  const std::vector<int32_t> blocks = Take(pool, 2);
  const ContentId content = Content(1);
  pool.Publish(blocks[0], content);
  pool.Publish(blocks[1], content);
  pool.Release(blocks);
  KEEL_EXPECT_OK(pool.CheckIntegrity({0, 0}));
  EXPECT_EQ(pool.Share(content), blocks[0]);
}

TEST_F(BlockPoolTest, ForgetsContentsButNotUsers) {
  BlockPool pool(2, index_);
  const std::vector<int32_t> blocks = Take(pool, 2);
  const ContentId content = Content(1);
  pool.Publish(blocks[0], content);
  pool.Release({&blocks[1], 1});
  pool.ClearPrefixes();
  EXPECT_FALSE(pool.Contains(content));
  KEEL_EXPECT_OK(pool.CheckIntegrity({1, 0}));
}

TEST(PrefixIndexTest, KeepsAContentWhileOneComesAfterIt) {
  PrefixIndex index;
  const std::vector<int32_t> a = {1, 2}, b = {3, 4};
  const ContentId first = index.Intern(0, a, "");
  const ContentId second = index.Intern(first, b, "");
  index.Unref(first);
  EXPECT_EQ(index.Find(0, a, ""), first);
  index.Unref(second);
  EXPECT_EQ(index.Find(0, a, ""), 0u);
  EXPECT_EQ(index.size(), 0u);
}

TEST(PrefixIndexTest, TellsMediaAndWhatComesBeforeApart) {
  PrefixIndex index;
  const std::vector<int32_t> tokens = {1, 2};
  const ContentId x = index.Intern(0, tokens, "x"), y = index.Intern(0, tokens, "y");
  EXPECT_NE(x, y);
  EXPECT_NE(index.Intern(x, tokens, ""), index.Intern(y, tokens, ""));
}

}  // namespace
}  // namespace keel
