#include "core/scheduler/scheduler.h"

#include <map>
#include <memory>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

std::unique_ptr<Sequence> Make(uint64_t id, int32_t size, int32_t first_token = 0) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  for (int32_t i = 0; i < size; ++i) sequence->tokens.push_back(first_token + i);
  sequence->prompt_tokens = size;
  return sequence;
}

TEST(SchedulerTest, CutsAPromptAtTheBudgetAndContinuesIt) {
  BlockPool pool(64, 4, true);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, pool);
  const auto sequence = Make(1, 25);
  scheduler.Add(sequence.get());
  for (const int32_t expected : {10, 10, 5}) {
    const Step step = scheduler.Schedule();
    ASSERT_EQ(step.items.size(), 1u);
    EXPECT_EQ(step.items[0].num_tokens, expected);
    EXPECT_EQ(step.items[0].reaches_end, expected == 5);
    scheduler.Advance(step);
    KEEL_EXPECT_OK(scheduler.CheckIntegrity());
  }
}

TEST(SchedulerTest, ANewcomerSharesTheStepOfARunningDecode) {
  BlockPool pool(64, 4, true);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, pool);
  const auto a = Make(1, 8), b = Make(2, 6, 100);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  a->tokens.push_back(5);
  scheduler.Add(b.get());
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 2u);
  EXPECT_EQ(step.items[0].num_tokens, 1);
  EXPECT_EQ(step.items[1].num_tokens, 6);
}

TEST(SchedulerTest, PreemptsTheYoungestSequenceWhenBlocksRunOut) {
  BlockPool pool(4, 4, false);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, pool);
  const auto a = Make(1, 8), b = Make(2, 8, 100);
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  scheduler.Advance(scheduler.Schedule());
  a->tokens.push_back(1);
  b->tokens.push_back(1);
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, a.get());
  EXPECT_EQ(step.num_preempted, 1);
  EXPECT_EQ(scheduler.num_waiting(), 1u);
  EXPECT_EQ(b->num_computed, 0);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, TakesAKnownPrefixButComputesTheLastToken) {
  BlockPool pool(64, 4, true);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, pool);
  const auto a = Make(1, 8);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  const auto b = Make(2, 8);
  scheduler.Add(b.get());
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);  // a has nothing to catch up on
  EXPECT_EQ(b->cached_tokens, 4);
  EXPECT_EQ(step.items[0].num_tokens, 4);
}

TEST(SchedulerTest, RunsLowerPriorityNumbersFirst) {
  BlockPool pool(64, 4, true);
  Scheduler scheduler({.max_num_seqs = 1, .max_num_batched_tokens = 100}, pool);
  const auto a = Make(1, 4), b = Make(2, 4, 50);
  b->priority = -1;
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, b.get());
}

// A fake model runner: thousands of random schedules. Every sequence ends exactly once, no block is lost or shared for
// writing, and somebody makes progress in every step.
TEST(SchedulerTest, RandomSchedulesLoseNothing) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    uint64_t state = seed;
    const auto next = [&state](uint64_t n) {
      return state = state * 6364136223846793005u + 1442695040888963407u, (state >> 33) % n;
    };
    const auto block_size = static_cast<int32_t>(1 + next(8));
    const auto num_blocks = static_cast<int32_t>(24 + next(24));
    BlockPool pool(num_blocks, block_size, next(2) == 0);
    Scheduler scheduler({.max_num_seqs = static_cast<int32_t>(1 + next(6)),
                         .max_num_batched_tokens = static_cast<int32_t>(1 + next(40))},
                        pool);
    std::map<uint64_t, std::unique_ptr<Sequence>> live;
    std::map<uint64_t, int32_t> length;
    uint64_t started = 0, ended = 0;
    for (int step_count = 0; ended < 30; ++step_count) {
      ASSERT_LT(step_count, 5000) << "starved";
      while (started < 30 && next(3) != 0) {
        auto sequence =
            Make(started, static_cast<int32_t>(1 + next(20)), static_cast<int32_t>(next(3)));
        length[started] = std::min<int32_t>(sequence->size() + 1 + static_cast<int32_t>(next(20)),
                                            num_blocks * block_size);
        scheduler.Add(sequence.get());
        live[started++] = std::move(sequence);
      }
      if (!live.empty() && next(50) == 0) {  // cancelled
        scheduler.Remove(live.begin()->second.get());
        live.erase(live.begin());
        ++ended;
      }
      const Step step = scheduler.Schedule();
      ASSERT_TRUE(live.empty() || !step.empty() || step.num_preempted > 0);
      std::map<int32_t, uint64_t> writers;
      for (const Step::Item& item : step.items) {
        for (int32_t i = item.sequence->num_computed / block_size;
             i <= (item.sequence->num_computed + item.num_tokens - 1) / block_size; ++i) {
          ASSERT_TRUE(writers.try_emplace(item.sequence->blocks[i], item.sequence->id).second)
              << "a block has two writers";
        }
      }
      scheduler.Advance(step);
      for (const Step::Item& item : step.items) {
        if (!item.reaches_end) continue;
        Sequence* sequence = item.sequence;
        if (sequence->size() + 1 >= length[sequence->id]) {
          scheduler.Remove(sequence);
          ASSERT_EQ(live.erase(sequence->id), 1u);
          ++ended;
        } else {
          sequence->tokens.push_back(static_cast<int32_t>(next(3)));
        }
      }
      KEEL_ASSERT_OK(scheduler.CheckIntegrity());
    }
    for (const auto& [id, sequence] : live) scheduler.Remove(sequence.get());
    EXPECT_EQ(pool.num_available(), num_blocks);
  }
}

}  // namespace
}  // namespace keel
