#include "core/compile/memory_plan.h"

#include <algorithm>
#include <random>
#include <vector>

#include "core/compile/testing.h"
#include "gtest/gtest.h"

namespace keel::ir {
namespace {

using testing::Builder;
using testing::kR;

int64_t End(const MemoryPlan::Slot& slot) { return slot.at + slot.bytes; }

TEST(MemoryPlanTest, AChainTakesTwoPlaces) {
  Builder b;
  ValueId x = b.Input("x", 16);
  for (int i = 0; i < 9; ++i) x = b.Linear('a', x, 16);
  b.function.outputs = {x};
  const MemoryPlan plan = PlanMemory(b.function);
  EXPECT_EQ(plan.size[static_cast<int>(Region::kTokens)], 2 * 64);
  EXPECT_EQ(plan.size[static_cast<int>(Region::kRows)], 0);
  EXPECT_EQ(plan.slots[0].at, -1);  // the input's memory is elsewhere
}

TEST(MemoryPlanTest, AViewKeepsWhatItLiesIn) {
  Builder b;
  const ValueId x = b.Linear('a', b.Input("x", 16), 32);
  const ValueId part = AddView(b.function, x, Builder::Rows(16), {16, {{32, "", 1}, {1, "", 1}}});
  const ValueId y = b.Linear('b', b.Linear('c', b.Input("y", 16), 32), 32);
  const ValueId z = b.Sum(part, y, 16);
  b.function.outputs = {z};
  const MemoryPlan plan = PlanMemory(b.function);
  EXPECT_TRUE(End(plan.slots[x]) <= plan.slots[y].at || End(plan.slots[y]) <= plan.slots[x].at);
}

TEST(MemoryPlanTest, RowsOfLogitsHaveARegionOfTheirOwn) {
  Builder b;
  const ValueId x = b.Linear('a', b.Input("x", 16), 16);
  const ValueId rows = b.Linear('b', x, 100);
  b.function.values[rows].type.dims[0] = kR;
  b.function.outputs = {rows};
  const MemoryPlan plan = PlanMemory(b.function);
  EXPECT_EQ(plan.slots[rows].region, Region::kRows);
  EXPECT_EQ(plan.slots[rows].bytes, 448);  // 400, in whole lines
  EXPECT_EQ(plan.slots[rows].at, 0);
}

// Random functions: whatever lives at the same time lies apart.
TEST(MemoryPlanTest, WhatLivesTogetherDoesNotOverlap) {
  for (int seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Builder b;
    std::vector<ValueId> values = {b.Input("x", 8)};
    for (int i = 0; i < 60; ++i) {
      const ValueId x = values[random() % values.size()], y = values[random() % values.size()];
      values.push_back(b.Sum(x, y, 1 + static_cast<int64_t>(random() % 100)));
    }
    b.function.outputs = {values.back(), values[7]};
    const MemoryPlan plan = PlanMemory(b.function);
    const int end = static_cast<int>(b.function.ops.size());
    std::vector<int> first(b.function.values.size(), -1), last(first);
    for (int i = 0; i < end; ++i) {
      for (const ValueId id : b.function.ops[i].inputs) last[id] = i;
      for (const ValueId id : b.function.ops[i].outputs) first[id] = last[id] = i;
    }
    for (const ValueId id : b.function.outputs) last[id] = end;
    int64_t size = 0;
    for (const ValueId i : values) {
      if (first[i] < 0) continue;
      size = std::max(size, End(plan.slots[i]));
      EXPECT_EQ(plan.slots[i].at % 64, 0);
      for (const ValueId j : values) {
        if (j <= i || first[j] < 0 || last[i] < first[j] || last[j] < first[i]) continue;
        EXPECT_TRUE(End(plan.slots[i]) <= plan.slots[j].at ||
                    End(plan.slots[j]) <= plan.slots[i].at)
            << "seed " << seed << ": %" << i << " and %" << j;
      }
    }
    EXPECT_EQ(plan.size[static_cast<int>(Region::kTokens)], size);
  }
}

}  // namespace
}  // namespace keel::ir
