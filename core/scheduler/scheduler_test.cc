#include "core/scheduler/scheduler.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Sequence> Make(uint64_t id, int32_t size, int32_t first_token = 0) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  for (int32_t i = 0; i < size; ++i) sequence->tokens.push_back(first_token + i);
  sequence->prompt_tokens = size;
  return sequence;
}

BlockAllocator::Options Blocks(int32_t num_blocks, bool prefix_caching = true) {
  return {.block_size = 4,
          .prefix_caching = prefix_caching,
          .groups = {{num_blocks}},
          .num_state_slots = 0};
}

TEST(SchedulerTest, CutsAPromptAtTheBudgetAndContinuesIt) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, blocks);
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

TEST(SchedulerTest, AWholeSequenceWaitsForAStepThatHasRoomForAllOfIt) {
  BlockAllocator blocks(Blocks(64, /*prefix_caching=*/false));
  Scheduler scheduler(
      {.max_num_seqs = 4, .max_num_batched_tokens = 10, .max_prefill_beside_decodes = 2}, blocks);
  std::vector<std::unique_ptr<Sequence>> all;
  for (const int32_t size : {6, 3, 5, 10, 1}) {
    all.push_back(Make(all.size(), size));
    all.back()->is_whole = true;
    scheduler.Add(all.back().get());
  }
  // In order of arrival: what is behind one that does not fit waits with it.
  const std::vector<std::vector<int32_t>> expected = {{6, 3}, {5}, {10}, {1}};
  for (const std::vector<int32_t>& sizes : expected) {
    const Step step = scheduler.Schedule();
    std::vector<int32_t> found;
    for (const Step::Item& item : step.items) {
      found.push_back(item.num_tokens);
      EXPECT_TRUE(item.reaches_end);
    }
    EXPECT_EQ(found, sizes);
    EXPECT_TRUE(step.preempted.empty());
    scheduler.Advance(step);
    for (const Step::Item& item : step.items) scheduler.Remove(item.sequence);
    KEEL_EXPECT_OK(scheduler.CheckIntegrity());
  }
  EXPECT_TRUE(scheduler.empty());
}

TEST(SchedulerTest, APromptEndsBeforeAGroupThatHasNoRoomAndTakesItWholeInTheNextStep) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, blocks);
  const auto sequence = Make(1, 29);
  sequence->max_chunk = 6;  // a group may be more
  sequence->groups = {{3, 5}, {8, 17}, {17, 27}};
  scheduler.Add(sequence.get());
  for (const int32_t expected : {6, 2, 9, 10, 2}) {
    const Step step = scheduler.Schedule();
    ASSERT_EQ(step.items.size(), 1u);
    EXPECT_EQ(step.items[0].num_tokens, expected);
    scheduler.Advance(step);
  }
  EXPECT_EQ(sequence->num_behind(), 0);
}

TEST(SchedulerTest, DecodesLeaveAGroupItsRoomInTheNextStep) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler(
      {.max_num_seqs = 4, .max_num_batched_tokens = 10, .max_prefill_beside_decodes = 4}, blocks);
  const auto a = Make(1, 4), b = Make(2, 4, 100), c = Make(3, 10, 200), d = Make(4, 7, 300);
  for (const auto& decoding : {a.get(), b.get()}) scheduler.Add(decoding);
  scheduler.Advance(scheduler.Schedule());
  for (const auto& decoding : {a.get(), b.get()}) decoding->tokens.push_back(1);
  c->groups = {{1, 10}};
  d->groups = {{0, 7}};
  scheduler.Add(c.get());
  scheduler.Add(d.get());
  const std::vector<std::vector<std::pair<Sequence*, int32_t>>> expected = {
      {{a.get(), 1}, {b.get(), 1}, {c.get(), 1}},  // up to the group
      {{a.get(), 1}, {b.get(), 1}, {d.get(), 7}},  // which lacks a token of room
      {{a.get(), 1}, {c.get(), 9}},                // and is left it now
      {{a.get(), 1}, {b.get(), 1}, {c.get(), 1}, {d.get(), 1}}};
  for (const auto& items : expected) {
    const Step step = scheduler.Schedule();
    std::vector<std::pair<Sequence*, int32_t>> found;
    for (const Step::Item& item : step.items) found.emplace_back(item.sequence, item.num_tokens);
    EXPECT_EQ(found, items);
    scheduler.Advance(step);
    for (const Step::Item& item : step.items)
      if (item.reaches_end) item.sequence->tokens.push_back(1);
  }
}

TEST(SchedulerTest, APrefixThatEndsWithinAGroupIsTakenUpToItsBegin) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto run = [&](int32_t size, std::vector<TokenRange> groups) {
    const auto sequence = Make(1, size);
    sequence->groups = std::move(groups);
    scheduler.Add(sequence.get());
    scheduler.Advance(scheduler.Schedule());
    EXPECT_EQ(sequence->num_behind(), 0);
    scheduler.Remove(sequence.get());
    return sequence->cached_tokens;
  };
  EXPECT_EQ(run(40, {}), 0);
  EXPECT_EQ(run(40, {}), 36);
  EXPECT_EQ(run(40, {{33, 38}}), 32);
  EXPECT_EQ(run(40, {{15, 30}, {31, 38}}), 12);  // at 28 it would be within the first
  EXPECT_EQ(run(40, {{15, 30}, {32, 36}}), 36);
  EXPECT_EQ(run(40, {{0, 40}}), 0);
}

TEST(SchedulerTest, AWholeSequenceLargerThanAStepIsStuck) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, blocks);
  const auto sequence = Make(1, 11);
  sequence->is_whole = true;
  scheduler.Add(sequence.get());
  EXPECT_TRUE(scheduler.Schedule().empty());
  EXPECT_EQ(scheduler.FirstStuck(), sequence.get());
}

Sequence& WithMedia(Sequence& sequence, int32_t begin, int32_t end) {
  sequence.media.push_back({begin, end, "picture"});
  return sequence;
}

TEST(SchedulerTest, APromptGoesAsFarAsItsMediaAreThereWhileOthersPassIt) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto picture = Make(1, 10), text = Make(2, 6, 100);
  WithMedia(*picture, 3, 7);
  int32_t there = 0;  // tokens of the picture's prompt
  scheduler.SetMediaGate([&](Sequence& sequence, int32_t begin, int32_t n) {
    EXPECT_EQ(&sequence, picture.get());
    return std::clamp(there - begin, 0, n);
  });
  scheduler.Add(picture.get());
  scheduler.Add(text.get());
  Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);  // nothing of the first, all of the one behind it
  EXPECT_EQ(step.items[0].sequence, text.get());
  EXPECT_TRUE(step.waits_for_media);
  scheduler.Advance(step);

  there = 3;
  step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, picture.get());
  EXPECT_EQ(step.num_tokens, 3);
  scheduler.Advance(step);

  step = scheduler.Schedule();
  EXPECT_TRUE(step.empty());
  EXPECT_TRUE(step.preempted.empty());
  EXPECT_TRUE(step.waits_for_media);

  there = 10;
  step = scheduler.Schedule();
  EXPECT_EQ(step.num_tokens, 7);
  EXPECT_FALSE(step.waits_for_media);
  scheduler.Advance(step);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, AGroupWaitsForAllOfItsMedia) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto picture = Make(1, 10), text = Make(2, 6, 100);
  WithMedia(*picture, 5, 7).groups = {{2, 9}};
  scheduler.SetMediaGate(
      [&](Sequence&, int32_t begin, int32_t n) { return std::clamp(5 - begin, 0, n); });
  scheduler.Add(picture.get());
  Step step = scheduler.Schedule();
  EXPECT_EQ(step.num_tokens, 2);  // what is before the group
  scheduler.Advance(step);
  scheduler.Add(text.get());
  step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, text.get());
}

TEST(SchedulerTest, ALastTokenThatWaitsForItsFeaturesIsNoDecode) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto picture = Make(1, 5);
  WithMedia(*picture, 4, 5);
  int32_t there = 4;
  scheduler.SetMediaGate(
      [&](Sequence&, int32_t begin, int32_t n) { return std::clamp(there - begin, 0, n); });
  scheduler.Add(picture.get());
  scheduler.Advance(scheduler.Schedule());
  EXPECT_TRUE(scheduler.Schedule().empty());
  there = 5;
  EXPECT_EQ(scheduler.Schedule().num_tokens, 1);
}

// An encoder keeps nothing.
TEST(SchedulerTest, SequencesRunWithoutAnyCache) {
  BlockAllocator blocks(
      {.block_size = 4, .prefix_caching = false, .groups = {}, .num_state_slots = 0});
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, blocks);
  const auto a = Make(1, 4), b = Make(2, 5);
  a->is_whole = b->is_whole = true;
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  const Step step = scheduler.Schedule();
  EXPECT_EQ(step.num_tokens, 9);
  scheduler.Advance(step);
  scheduler.Remove(a.get());
  scheduler.Remove(b.get());
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, ANewcomerSharesTheStepOfARunningDecode) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
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

TEST(SchedulerTest, DecodesGoBeforeTheRestOfAnOlderPrompt) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 10}, blocks);
  const auto a = Make(1, 30), b = Make(2, 4, 100);
  b->priority = -1;
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  scheduler.Add(b.get());
  a->priority = 0;
  // b gets in once the budget has room for it: a's prompt takes all of a step until then.
  while (b->table.empty()) scheduler.Advance(scheduler.Schedule());
  b->tokens.push_back(1);
  const auto c = Make(3, 30, 200);
  c->priority = -2;  // a prompt that comes first in order
  scheduler.Add(c.get());
  const Step step = scheduler.Schedule();
  ASSERT_GE(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, b.get());
}

TEST(SchedulerTest, APromptTakesItsShareOnlyWhereOthersDecode) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler(
      {.max_num_seqs = 4, .max_num_batched_tokens = 100, .max_prefill_beside_decodes = 8}, blocks);
  const auto a = Make(1, 20), b = Make(2, 20, 100);
  scheduler.Add(a.get());
  Step step = scheduler.Schedule();
  EXPECT_EQ(step.num_tokens, 20);
  scheduler.Advance(step);
  a->tokens.push_back(5);
  scheduler.Add(b.get());
  step = scheduler.Schedule();
  EXPECT_EQ(step.num_tokens, 1 + 8);
}

TEST(SchedulerTest, PreemptsTheYoungestSequenceWhenBlocksRunOut) {
  BlockAllocator blocks(Blocks(4, false));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 8), b = Make(2, 8, 100);
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  scheduler.Advance(scheduler.Schedule());
  a->tokens.push_back(1);
  b->tokens.push_back(1);
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, a.get());
  EXPECT_THAT(step.preempted, ElementsAre(b.get()));
  EXPECT_EQ(scheduler.num_waiting(), 1u);
  EXPECT_EQ(b->num_computed, 0);
  EXPECT_EQ(b->num_preemptions, 1);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, GivesUpAGuessBeforeAnothersBlocks) {
  BlockAllocator blocks(Blocks(5, false));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 7), b = Make(2, 8, 100);
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  scheduler.Advance(scheduler.Schedule());
  b->tokens.push_back(1);                           // takes the last block
  a->tokens.insert(a->tokens.end(), {1, 2, 3, 4});  // the guesses would need another
  a->num_drafts = 3;
  const Step step = scheduler.Schedule();
  EXPECT_TRUE(step.preempted.empty());
  ASSERT_EQ(step.items.size(), 2u);
  EXPECT_EQ(b->table.blocks[0].size() + a->table.blocks[0].size(), 5u);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, ComputesOnlyWhatHeldOfTheGuesses) {
  BlockAllocator blocks(Blocks(16));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 7);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  a->tokens.insert(a->tokens.end(), {50, 51, 52});
  a->num_drafts = 2;
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].num_tokens, 3);
  EXPECT_TRUE(step.items[0].reaches_end);
  a->tokens.pop_back();  // the second did not hold
  a->num_drafts = 0;
  scheduler.Advance(step);
  EXPECT_EQ(a->num_computed, 9);
  EXPECT_EQ(a->num_behind(), 0);
}

TEST(SchedulerTest, TakesAKnownPrefixButComputesTheLastToken) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
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

TEST(SchedulerTest, APausedSequenceLeavesItsPlaceAndGetsItBack) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 1, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 9), b = Make(2, 6, 100);
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  scheduler.Advance(scheduler.Schedule());
  scheduler.Pause(a.get());
  EXPECT_TRUE(a->table.empty());
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, b.get());
  scheduler.Advance(step);
  scheduler.Remove(b.get());
  EXPECT_TRUE(scheduler.empty());
  scheduler.Resume(a.get());
  a->tokens.push_back(7);
  const Step resumed = scheduler.Schedule();
  ASSERT_EQ(resumed.items.size(), 1u);
  EXPECT_EQ(resumed.items[0].num_tokens, 2);  // the prefix cache has the others
  EXPECT_EQ(a->num_preemptions, 0);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, RunsLowerPriorityNumbersFirst) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 1, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 4), b = Make(2, 4, 50);
  b->priority = -1;
  scheduler.Add(a.get());
  scheduler.Add(b.get());
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].sequence, b.get());
}

TEST(SchedulerTest, RunsALowPriorityThatHasWaitedTooLong) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 1, .max_num_batched_tokens = 100, .overdue_after = 32},
                      blocks);
  const auto patient = Make(1, 4);
  patient->priority = 100;
  std::vector<std::unique_ptr<Sequence>> others;
  int steps = 0;
  for (; patient->table.empty() && steps < 200; ++steps) {
    // Always another that is more important.
    others.push_back(Make(2, 4, 50));
    scheduler.Add(others.back().get());
    if (steps == 0) scheduler.Add(patient.get());
    const Step step = scheduler.Schedule();
    scheduler.Advance(step);
    ASSERT_EQ(step.items.size(), 1u);
    if (step.items[0].sequence != patient.get()) scheduler.Remove(step.items[0].sequence);
  }
  EXPECT_LE(steps, 32 + 16 + 1);
  for (const auto& other : others) scheduler.Remove(other.get());
}

TEST(SchedulerTest, AForkSharesWhatIsComputed) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 2, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 6), b = Make(1, 6), c = Make(1, 6);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  scheduler.Fork(*a, b.get());
  scheduler.Fork(*a, c.get());  // no place left: waits
  EXPECT_EQ(scheduler.num_waiting(), 1u);
  a->tokens.push_back(7);
  b->tokens.push_back(8);
  const Step step = scheduler.Schedule();
  ASSERT_EQ(step.items.size(), 2u);
  EXPECT_EQ(step.items[1].num_tokens, 1);
  EXPECT_EQ(a->table.blocks[0][0], b->table.blocks[0][0]);
  EXPECT_NE(a->table.blocks[0][1], b->table.blocks[0][1]);
  EXPECT_EQ(step.work.blocks.size(), 1u);
  KEEL_EXPECT_OK(scheduler.CheckIntegrity());
}

TEST(SchedulerTest, IdleForksMakeRoomForTheOneTheyWaitFor) {
  // Each of the three needs two blocks of its own beside one that they share; there are five.
  BlockAllocator blocks(Blocks(5));
  Scheduler scheduler({.max_num_seqs = 2, .max_num_batched_tokens = 100}, blocks);
  const auto a = Make(1, 8), b = Make(1, 8), c = Make(1, 8);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  scheduler.Fork(*a, b.get());
  scheduler.Fork(*a, c.get());
  std::vector<Sequence*> all = {a.get(), b.get(), c.get()};
  for (int32_t round = 0; round < 3; ++round) {
    for (Sequence* sequence : all)
      sequence->tokens.push_back(9 + static_cast<int32_t>(sequence == b.get()));
    // As beams do, they go on when all are there.
    std::vector<const Sequence*> done;
    for (int steps = 0; steps < 20 && done.size() < 3; ++steps) {
      const Step step = scheduler.Schedule();
      ASSERT_FALSE(step.empty() && step.preempted.empty());
      scheduler.Advance(step);
      for (const Step::Item& item : step.items) {
        if (item.reaches_end && std::find(done.begin(), done.end(), item.sequence) == done.end())
          done.push_back(item.sequence);
      }
      KEEL_EXPECT_OK(scheduler.CheckIntegrity());
    }
    EXPECT_EQ(done.size(), 3u);
  }
}

TEST(SchedulerTest, APausedSequenceLosesItsDrafts) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 100}, blocks);
  const auto sequence = Make(1, 5);
  scheduler.Add(sequence.get());
  scheduler.Advance(scheduler.Schedule());
  sequence->tokens.insert(sequence->tokens.end(), {7, 8, 9});
  sequence->num_drafts = 2;
  scheduler.Pause(sequence.get());
  EXPECT_EQ(sequence->size(), 6);
  EXPECT_EQ(sequence->num_drafts, 0);
}

TEST(SchedulerTest, WhoWaitsForNothingThatComesIsToBlame) {
  BlockAllocator blocks(Blocks(64));
  Scheduler scheduler({.max_num_seqs = 1, .max_num_batched_tokens = 100}, blocks);
  EXPECT_EQ(scheduler.FirstStuck(), nullptr);
  const auto a = Make(1, 5), b = Make(2, 5, 100);
  scheduler.Add(a.get());
  scheduler.Advance(scheduler.Schedule());
  EXPECT_TRUE(scheduler.Schedule().empty());
  EXPECT_EQ(scheduler.FirstStuck(), a.get());
  scheduler.Remove(a.get());
  scheduler.Add(b.get());
  EXPECT_EQ(scheduler.FirstStuck(), b.get());
}

}  // namespace
}  // namespace keel
