#include "apps/batch/batch_progress.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(BatchProgressTest, SaysHowManyHowFastAndHowLong) {
  BatchCounts counts;
  counts.lines = 12;
  counts.answered = 11;
  counts.failed = 1;
  counts.output_tokens = 600;
  EXPECT_EQ(ProgressNote(counts, 24, 60), "12/24 lines, 1 failed, 10.0 tokens/s, 1 m 00 s left");
  EXPECT_EQ(ProgressNote(counts, 0, 60), "12 lines, 1 failed, 10.0 tokens/s");
  EXPECT_EQ(ProgressNote(counts, 12, 60), "12/12 lines, 1 failed, 10.0 tokens/s");
}

// What an earlier run did took this one no time.
TEST(BatchProgressTest, WhatWasDoneBeforeIsNoSpeed) {
  BatchCounts counts;
  counts.lines = 102;
  counts.answered_before = 99;
  counts.failed_before = 1;
  counts.answered = 2;
  EXPECT_EQ(ProgressNote(counts, 112, 4), "102/112 lines, 1 failed, 0.0 tokens/s, 20 s left");
  counts.answered = 0;
  EXPECT_EQ(ProgressNote(counts, 112, 4), "102/112 lines, 1 failed, 0.0 tokens/s");
}

}  // namespace
}  // namespace keel::apps
