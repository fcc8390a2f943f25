#include "core/compile/memory_plan.h"

#include <algorithm>

namespace keel::ir {
namespace {

constexpr int64_t kAlignment = 64;

// Ops [first, last] between which a value is needed.
struct Life {
  ValueId id;
  int first, last;
};

std::vector<Life> LivesOf(const Function& function) {
  const int end = static_cast<int>(function.ops.size());
  std::vector<Life> lives;
  std::vector<int> index(function.values.size(), -1);
  for (int i = 0; i < end; ++i) {
    for (const ValueId id : function.ops[i].outputs) {
      index[id] = static_cast<int>(lives.size());
      lives.push_back({id, i, i});
    }
    for (const ValueId id : function.ops[i].inputs) {
      if (id == kNoValue) continue;
      const int of_base = index[function.values[id].base];
      if (of_base >= 0) lives[of_base].last = i;
    }
  }
  for (const ValueId id : function.outputs) {
    const int of_base = index[function.values[id].base];
    if (of_base >= 0) lives[of_base].last = end;
  }
  return lives;
}

MemoryPlan::Slot SlotOf(const Value& value) {
  const Extent elements = *NumElements(value.type.dims);
  const int64_t bytes =
      (elements.size * BytesOf(value.dtype()) + elements.divisor - 1) / elements.divisor;
  MemoryPlan::Slot slot;
  slot.region = !elements.symbolic()         ? Region::kFixed
                : elements.symbol == kTokens ? Region::kTokens
                                             : Region::kRows;
  slot.bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return slot;
}

}  // namespace

// The largest first, each at the lowest place that nothing has meanwhile.
MemoryPlan PlanMemory(const Function& function) {
  MemoryPlan plan;
  plan.slots.resize(function.values.size());
  std::vector<Life> lives = LivesOf(function);
  for (const Life& life : lives) plan.slots[life.id] = SlotOf(function.values[life.id]);
  std::stable_sort(lives.begin(), lives.end(), [&](const Life& a, const Life& b) {
    return plan.slots[a.id].bytes > plan.slots[b.id].bytes;
  });
  std::vector<Life> placed;  // in order of their places
  for (const Life& life : lives) {
    MemoryPlan::Slot& slot = plan.slots[life.id];
    slot.at = 0;
    for (const Life& other : placed) {
      const MemoryPlan::Slot& taken = plan.slots[other.id];
      if (taken.region != slot.region || other.last < life.first || life.last < other.first)
        continue;
      if (slot.at + slot.bytes <= taken.at) break;
      slot.at = std::max(slot.at, taken.at + taken.bytes);
    }
    const auto behind = std::find_if(placed.begin(), placed.end(), [&](const Life& other) {
      return plan.slots[other.id].at > slot.at;
    });
    placed.insert(behind, life);
    int64_t& size = plan.size[static_cast<int>(slot.region)];
    size = std::max(size, slot.at + slot.bytes);
  }
  return plan;
}

}  // namespace keel::ir
