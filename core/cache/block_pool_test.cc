#include "core/cache/block_pool.h"

#include <map>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Tokens(int32_t first, int n) {
  std::vector<int32_t> out(n);
  for (int i = 0; i < n; ++i) out[i] = first + i;
  return out;
}

// Fills blocks with `tokens`, as a sequence that has been computed does.
std::vector<int32_t> Fill(BlockPool& pool, ContentId root, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> blocks;
  EXPECT_TRUE(pool.Allocate(static_cast<int32_t>(tokens.size()) / pool.block_size(), blocks));
  ContentId content = root;
  for (size_t i = 0; i < blocks.size(); ++i) {
    content =
        pool.Publish(blocks[i], content,
                     absl::MakeConstSpan(tokens).subspan(i * pool.block_size(), pool.block_size()));
  }
  return blocks;
}

TEST(BlockPoolTest, GivesAllOrNothing) {
  BlockPool pool(3, 4, true);
  std::vector<int32_t> blocks;
  EXPECT_FALSE(pool.Allocate(4, blocks));
  EXPECT_THAT(blocks, IsEmpty());
  EXPECT_TRUE(pool.Allocate(3, blocks));
  EXPECT_EQ(pool.num_available(), 0);
  KEEL_EXPECT_OK(pool.CheckIntegrity());
}

TEST(BlockPoolTest, FindsThePrefixOfAnotherSequence) {
  BlockPool pool(8, 4, true);
  const std::vector<int32_t> tokens = Tokens(0, 12);
  const std::vector<int32_t> blocks = Fill(pool, pool.Root(""), tokens);
  const BlockPool::Match match = pool.FindPrefix(pool.Root(""), Tokens(0, 10), 10);
  EXPECT_THAT(match.blocks, ElementsAre(blocks[0], blocks[1]));
  KEEL_EXPECT_OK(pool.CheckIntegrity());
}

TEST(BlockPoolTest, DoesNotShareAcrossSaltsOrAfterADifferentBeginning) {
  BlockPool pool(8, 4, true);
  Fill(pool, pool.Root("a"), Tokens(0, 8));
  EXPECT_THAT(pool.FindPrefix(pool.Root("b"), Tokens(0, 8), 8).blocks, IsEmpty());
  std::vector<int32_t> other = Tokens(0, 8);
  other[0] = 77;
  EXPECT_THAT(pool.FindPrefix(pool.Root("a"), other, 8).blocks, IsEmpty());
}

TEST(BlockPoolTest, KeepsReleasedContentUntilItsBlockIsNeeded) {
  BlockPool pool(3, 4, true);
  const std::vector<int32_t> blocks = Fill(pool, pool.Root(""), Tokens(0, 12));
  pool.Release(blocks);
  EXPECT_EQ(pool.num_available(), 3);
  std::vector<int32_t> taken;
  ASSERT_TRUE(pool.Allocate(1, taken));
  EXPECT_THAT(taken, ElementsAre(blocks[2]));  // the end of the prefix goes first
  const BlockPool::Match match = pool.FindPrefix(pool.Root(""), Tokens(0, 12), 12);
  EXPECT_THAT(match.blocks, ElementsAre(blocks[0], blocks[1]));
  KEEL_EXPECT_OK(pool.CheckIntegrity());
}

TEST(BlockPoolTest, WithoutPrefixCachingNothingIsFound) {
  BlockPool pool(3, 4, false);
  Fill(pool, pool.Root(""), Tokens(0, 8));
  EXPECT_THAT(pool.FindPrefix(pool.Root(""), Tokens(0, 8), 8).blocks, IsEmpty());
}

// Random use by several sequences; the invariant is recounted after every step.
TEST(BlockPoolTest, StaysWholeUnderRandomUse) {
  BlockPool pool(20, 2, true);
  uint64_t seed = 7;
  const auto next = [&seed](uint64_t n) {
    return seed = seed * 6364136223846793005u + 1442695040888963407u, (seed >> 33) % n;
  };
  std::map<int, std::vector<int32_t>> sequences;
  for (int step = 0; step < 5000; ++step) {
    if (next(2) == 0) {
      std::vector<int32_t> tokens(2 * (1 + next(5)));
      for (int32_t& token : tokens) token = static_cast<int32_t>(next(2));
      BlockPool::Match match =
          pool.FindPrefix(pool.Root(""), tokens, static_cast<int64_t>(tokens.size()));
      std::vector<int32_t> blocks = match.blocks;
      if (pool.Allocate(static_cast<int32_t>(tokens.size() / 2 - blocks.size()), blocks)) {
        ContentId content = match.content;
        for (size_t i = match.blocks.size(); i < blocks.size(); ++i) {
          content = pool.Publish(blocks[i], content, absl::MakeConstSpan(tokens).subspan(2 * i, 2));
        }
        sequences[step] = blocks;
      } else {
        pool.Release(match.blocks);
      }
    } else if (!sequences.empty()) {
      auto it = std::next(sequences.begin(), static_cast<int64_t>(next(sequences.size())));
      pool.Release(it->second);
      sequences.erase(it);
    }
    KEEL_ASSERT_OK(pool.CheckIntegrity());
  }
  for (const auto& [id, blocks] : sequences) pool.Release(blocks);
  EXPECT_EQ(pool.num_available(), 20);
}

}  // namespace
}  // namespace keel
