#include "core/model/cache_size.h"

#include "core/base/error_detail.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CacheNeed kNeed = {.max_len = 100, .max_chunk = 20, .max_num_seqs = 4, .block_size = 10};

TEST(CacheSizeTest, GivesAllSequencesTheirFullLengthWhereMemoryAllows) {
  const CacheLayout layout = {{{0, 0, 1000}}, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, DivideCache(layout, kNeed, 1 << 30, false));
  EXPECT_EQ(size.groups[0].num_blocks, 40);
  EXPECT_EQ(size.max_len, 100);
  EXPECT_EQ(size.bytes, 40000);
}

TEST(CacheSizeTest, TakesAllThatWasGiven) {
  const CacheLayout layout = {{{0, 0, 1000}}, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, DivideCache(layout, kNeed, 77500, true));
  EXPECT_EQ(size.groups[0].num_blocks, 77);
}

TEST(CacheSizeTest, DividesByWhatASequenceNeedsOfEachGroup) {
  const CacheLayout layout = {{{0, 0, 1000}, {15, 0, 1000}}, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, DivideCache(layout, kNeed, 30000, false));
  // 10 blocks of the first; of the second what a window and a chunk of 35 tokens span: 5.
  EXPECT_EQ(size.groups[0].num_blocks, 20);
  EXPECT_EQ(size.groups[1].num_blocks, 10);
  EXPECT_EQ(size.groups[1].window, 15);
}

TEST(CacheSizeTest, ShortensTextsThatWouldNotFit) {
  const CacheLayout layout = {{{0, 0, 1000}}, 0};
  KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, DivideCache(layout, kNeed, 3500, true));
  EXPECT_EQ(size.max_len, 30);
  EXPECT_EQ(size.groups[0].num_blocks, 3);
}

TEST(CacheSizeTest, WhatItGivesFitsItsLongestSequence) {
  for (const int64_t window : {1, 7, 15, 40, 200}) {
    for (const int64_t bytes : {2000, 5000, 9000, 20000, 100000}) {
      const CacheLayout layout = {{{0, 0, 300}, {window, 0, 700}, {0, 12, 100}}, 0};
      KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, DivideCache(layout, kNeed, bytes, false));
      const BlockAllocator blocks(
          {.block_size = 10, .prefix_caching = true, .groups = size.groups, .num_state_slots = 0});
      EXPECT_TRUE(blocks.FitsAlone(size.max_len, kNeed.max_chunk)) << window << ", " << bytes;
      EXPECT_LE(size.bytes, bytes);
    }
  }
}

TEST(CacheSizeTest, SaysWhatABlockTakesWhenNoneFits) {
  const CacheLayout layout = {{{0, 0, 1000}}, 0};
  EXPECT_THAT(DivideCache(layout, kNeed, 999, true),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes 1000")));
}

TEST(CacheSizeTest, AdmitsAsManyRecurrentSequencesAsFit) {
  const CacheLayout pure = {{}, 1000}, hybrid = {{{0, 0, 1000}}, 1000};
  std::vector<std::string> warnings;
  EXPECT_THAT(NumStateSlots(pure, 4, 9000, warnings), IsOkAndHolds(4));
  EXPECT_THAT(NumStateSlots(hybrid, 4, 9000, warnings), IsOkAndHolds(4));
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_THAT(NumStateSlots(pure, 4, 3500, warnings), IsOkAndHolds(3));
  EXPECT_THAT(NumStateSlots(hybrid, 4, 3500, warnings), IsOkAndHolds(1));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("of 3 sequences"), HasSubstr("of 1 sequences")));
  EXPECT_THAT(NumStateSlots(pure, 4, 999, warnings),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("take 1000 bytes")));
}

TEST(CacheSizeTest, NeedsNoModel) {
  const CacheOptions options = {.memory_bytes = 50000, .block_size = 10};
  const SchedulerOptions steps = {.max_num_seqs = 4, .max_num_batched_tokens = 20};
  const CacheLayout layout = {{{0, 0, 1000}}, 5000};
  std::vector<std::string> warnings;
  KEEL_ASSERT_OK_AND_ASSIGN(const CacheSize size, SizeCache(options, steps, layout, 100, warnings));
  EXPECT_EQ(size.max_len, 100);
  EXPECT_EQ(size.num_state_slots, 4);
  EXPECT_EQ(size.groups[0].num_blocks, 30);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(CacheSizeTest, ErrorsSayWhichFlag) {
  const CacheLayout layout = {{{0, 0, 1000}}, 0};
  std::vector<std::string> warnings;
  const auto flag_of = [&](const CacheOptions& options) {
    const absl::Status status = SizeCache(options, {}, layout, 100, warnings).status();
    EXPECT_FALSE(status.ok());
    return DetailOf(status, ErrorDetail::kFlag);
  };
  EXPECT_EQ(flag_of({.max_model_len = 101}), "max-model-len");
  EXPECT_EQ(flag_of({.memory_bytes = 10}), "kv-cache-memory-bytes");
  EXPECT_EQ(flag_of({.memory_bytes = 1000, .available_memory = 999}), "kv-cache-memory-bytes");
}

}  // namespace
}  // namespace keel
