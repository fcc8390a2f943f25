#include "core/cache/block_allocator.h"

#include <numeric>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Tokens(int32_t first, int32_t n) {
  std::vector<int32_t> out(static_cast<size_t>(n));
  std::iota(out.begin(), out.end(), first);
  return out;
}

BlockAllocator::Options Plain(int32_t num_blocks) {
  return {.block_size = 4, .prefix_caching = true, .groups = {{num_blocks}}, .num_state_slots = 0};
}

// Begins, computes all of `tokens` in one step and returns the table; `*cached` gets what was found.
BlockTable Compute(BlockAllocator& blocks, const std::vector<int32_t>& tokens,
                   int32_t* cached = nullptr, absl::string_view salt = "",
                   absl::Span<const MediaSpan> media = {}) {
  BlockTable table;
  CacheWork work;
  const auto size = static_cast<int32_t>(tokens.size());
  const int32_t found = blocks.Begin(salt, tokens, media, size - 1, work, table);
  EXPECT_TRUE(blocks.Grow(table, found, size - found, work));
  blocks.Advance(table, tokens, media, size);
  if (cached != nullptr) *cached = found;
  return table;
}

TEST(BlockAllocatorTest, FindsThePrefixOfAnotherSequenceUnderTheSameSalt) {
  BlockAllocator blocks(Plain(16));
  BlockTable a = Compute(blocks, Tokens(0, 12), nullptr, "salt");
  int32_t cached = 0;
  BlockTable b = Compute(blocks, Tokens(0, 10), &cached, "salt");
  EXPECT_EQ(cached, 8);
  EXPECT_EQ(b.blocks[0][1], a.blocks[0][1]);
  EXPECT_NE(b.blocks[0][2], a.blocks[0][2]);
  BlockTable c = Compute(blocks, Tokens(0, 10), &cached, "other");
  EXPECT_EQ(cached, 0);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&a, &b, &c}));
}

TEST(BlockAllocatorTest, SharesNothingBetweenDifferentPictures) {
  BlockAllocator blocks(Plain(32));
  const std::vector<int32_t> tokens(12, 5);  // placeholders
  const std::vector<MediaSpan> cat = {{2, 10, "cat"}}, dog = {{2, 10, "dog"}},
                               late_cat = {{3, 11, "cat"}};
  BlockTable a = Compute(blocks, tokens, nullptr, "", cat);
  int32_t cached = 0;
  BlockTable b = Compute(blocks, tokens, &cached, "", cat);
  EXPECT_EQ(cached, 8);
  BlockTable c = Compute(blocks, tokens, &cached, "", dog);
  EXPECT_EQ(cached, 0);
  BlockTable d = Compute(blocks, tokens, &cached, "", late_cat);
  EXPECT_EQ(cached, 0);
}

TEST(BlockAllocatorTest, CopiesASharedBlockBeforeItIsWritten) {
  BlockAllocator blocks(Plain(16));
  BlockTable parent = Compute(blocks, Tokens(0, 6)), child;
  CacheWork work;
  ASSERT_TRUE(blocks.Fork(parent, 6, work, child));
  EXPECT_EQ(child.blocks, parent.blocks);
  ASSERT_TRUE(blocks.Grow(parent, 6, 1, work));
  ASSERT_EQ(work.blocks.size(), 1u);
  EXPECT_EQ(work.blocks[0].from, child.blocks[0][1]);
  EXPECT_EQ(work.blocks[0].to, parent.blocks[0][1]);
  // The other has it to itself now.
  ASSERT_TRUE(blocks.Grow(child, 6, 1, work));
  EXPECT_EQ(work.blocks.size(), 1u);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&parent, &child}));
}

TEST(BlockAllocatorTest, GivesBackWhatAWindowHasPassedAndKeepsItKnown) {
  BlockAllocator blocks({.block_size = 4,
                         .prefix_caching = true,
                         .groups = {{.num_blocks = 16}, {.num_blocks = 16, .window = 5}},
                         .num_state_slots = 0});
  const std::vector<int32_t> tokens = Tokens(0, 14);
  BlockTable a = Compute(blocks, tokens);
  // A token at 14 sees 10 to 14: blocks 2 and 3.
  EXPECT_THAT(a.first, ElementsAre(0, 2));
  EXPECT_EQ(a.blocks[1][1], kNoBlock);
  EXPECT_EQ(blocks.pool(1).num_available(), 14);
  // One that goes on after 8 tokens sees 4 to 8: block 1 is still known, 0 is not needed.
  int32_t cached = 0;
  BlockTable b = Compute(blocks, Tokens(0, 9), &cached);
  EXPECT_EQ(cached, 8);
  EXPECT_EQ(b.blocks[1][0], kNoBlock);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&a, &b}));
}

TEST(BlockAllocatorTest, TakesAShorterPrefixWhereAWindowLacksTheLongerOne) {
  BlockAllocator blocks({.block_size = 4,
                         .prefix_caching = true,
                         .groups = {{.num_blocks = 64}, {.num_blocks = 6, .window = 4}},
                         .num_state_slots = 0});
  BlockTable a = Compute(blocks, Tokens(0, 21));
  blocks.Release(a);
  int32_t cached = 0;
  BlockTable b = Compute(blocks, Tokens(0, 17), &cached);  // uses the windowed group's block 3 last
  ASSERT_EQ(cached, 16);
  blocks.Release(b);
  BlockTable other = Compute(blocks, Tokens(100, 17));  // takes the place of the rest
  blocks.Release(other);
  b = Compute(blocks, Tokens(0, 21), &cached);
  EXPECT_EQ(cached, 16);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&b}));
}

TEST(BlockAllocatorTest, GivesBackTheChunksBefore) {
  BlockAllocator blocks({.block_size = 4,
                         .prefix_caching = false,
                         .groups = {{.num_blocks = 8, .chunk = 8}},
                         .num_state_slots = 0});
  BlockTable a = Compute(blocks, Tokens(0, 17));
  EXPECT_THAT(a.first, ElementsAre(4));
}

TEST(BlockAllocatorTest, TakesFromAllGroupsOrFromNone) {
  BlockAllocator blocks({.block_size = 4,
                         .prefix_caching = false,
                         .groups = {{.num_blocks = 8}, {.num_blocks = 2, .window = 5}},
                         .num_state_slots = 0});
  BlockTable table;
  CacheWork work;
  blocks.Begin("", Tokens(0, 12), {}, 0, work, table);
  EXPECT_FALSE(blocks.Grow(table, 0, 12, work));
  EXPECT_THAT(table.blocks[0], IsEmpty());
  EXPECT_FALSE(blocks.FitsAlone(12, 12));
  EXPECT_TRUE(blocks.FitsAlone(8, 8));
}

TEST(BlockAllocatorTest, HoldsAStateSlotFromBeginToRelease) {
  BlockAllocator blocks({.block_size = 4,
                         .prefix_caching = false,
                         .groups = {{.num_blocks = 8}},
                         .num_state_slots = 2});
  CacheWork work;
  BlockTable a, b, c;
  blocks.Begin("", Tokens(0, 4), {}, 0, work, a);
  ASSERT_EQ(work.states.size(), 1u);
  EXPECT_EQ(work.states[0].from, -1);  // begins with zeros
  ASSERT_TRUE(blocks.Fork(a, 0, work, b));
  EXPECT_EQ(work.states[1].from, a.state_slot);
  EXPECT_EQ(work.states[1].to, b.state_slot);
  EXPECT_FALSE(blocks.HasStateSlot());
  EXPECT_FALSE(blocks.Fork(a, 0, work, c));
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&a, &b}));
  blocks.Release(a);
  EXPECT_TRUE(blocks.HasStateSlot());
}

TEST(BlockAllocatorTest, AModelThatKeepsNoKeysHasStatesAlone) {
  BlockAllocator blocks(
      {.block_size = 4, .prefix_caching = false, .groups = {}, .num_state_slots = 2});
  EXPECT_TRUE(blocks.FitsAlone(1 << 30, 1 << 30));
  CacheWork work;
  BlockTable a, b;
  EXPECT_EQ(blocks.Begin("", Tokens(0, 9), {}, 8, work, a), 0);
  EXPECT_FALSE(a.empty());
  EXPECT_TRUE(blocks.Grow(a, 0, 1000, work));
  blocks.Advance(a, Tokens(0, 9), {}, 9);
  EXPECT_EQ(blocks.usage(), 0.5);
  ASSERT_TRUE(blocks.Fork(a, 9, work, b));
  EXPECT_EQ(work.states[1].from, a.state_slot);
  EXPECT_EQ(blocks.usage(), 1);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({&a, &b}));
  blocks.Release(a);
  blocks.Release(b);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(blocks.usage(), 0);
  KEEL_EXPECT_OK(blocks.CheckIntegrity({}));
}

TEST(BlockAllocatorTest, KeepsNothingOfManySaltsThatWereEvicted) {
  BlockAllocator blocks(Plain(8));
  for (int i = 0; i < 1000; ++i) {
    BlockTable table = Compute(blocks, Tokens(0, 9), nullptr, std::to_string(i));
    blocks.Release(table);
  }
  EXPECT_GE(blocks.num_evicted(), 1900);
  // Blocks that are cached still, each with the contents before it and its root.
  EXPECT_LE(blocks.num_contents(), 8u * 3);
  blocks.ClearPrefixes();
  EXPECT_EQ(blocks.num_contents(), 0u);
}

}  // namespace
}  // namespace keel
