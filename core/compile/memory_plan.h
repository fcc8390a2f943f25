// Where the values of a step lie in its arena.
//
// A value's bytes are proportional to the step's tokens, to its rows of logits, or fixed, so there are three regions,
// and the place of a value in the first two is a number of bytes for each token or row. One plan thus serves every
// step; what is needed at the same time never overlaps.
#ifndef KEEL_CORE_COMPILE_MEMORY_PLAN_H_
#define KEEL_CORE_COMPILE_MEMORY_PLAN_H_

#include <cstdint>
#include <vector>

#include "core/compile/ir.h"

namespace keel::ir {

enum class Region { kFixed, kTokens, kRows };
inline constexpr int kNumRegions = 3;

struct MemoryPlan {
  struct Slot {
    Region region = Region::kFixed;
    int64_t at = -1;    // bytes, a token, a row or in all; -1: has no memory here
    int64_t bytes = 0;  // likewise
  };
  std::vector<Slot> slots;         // by value; views have none
  int64_t size[kNumRegions] = {};  // bytes, likewise
};

// Places and sizes are multiples of 64 bytes. Outputs live until the end.
MemoryPlan PlanMemory(const Function& function);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_MEMORY_PLAN_H_
