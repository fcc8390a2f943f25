// What a call of a program sees of a step: its sizes, and where values lie.
#ifndef KEEL_CORE_COMPILE_FRAME_H_
#define KEEL_CORE_COMPILE_FRAME_H_

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>

#include "absl/types/span.h"
#include "core/compile/memory_plan.h"
#include "core/graph/types.h"
#include "core/ops/step_context.h"

namespace keel {

// An Extent without its words.
struct StepSize {
  int64_t size = 1;
  ir::Region of = ir::Region::kFixed;  // whose number it is multiplied by
  int64_t divisor = 1;
};

// Where a value's first element is.
struct Place {
  enum class In : uint8_t { kArena, kInput, kConstant };
  In in = In::kArena;
  ir::Region region = ir::Region::kFixed;
  int64_t at = 0;                  // kArena: bytes as MemoryPlan says; kInput: which
  int64_t offset = 0;              // bytes behind it
  const char* constant = nullptr;  // kConstant
};

// Nanoseconds, added up over steps.
struct StepTimes {
  int64_t steps = 0, total = 0;
  int64_t kernels = 0;    // in kernels of core/kernels
  int64_t fallbacks = 0;  // in ops through ATen

  int64_t host() const { return total - kernels - fallbacks; }
  StepTimes& operator+=(const StepTimes& other) {
    steps += other.steps, total += other.total;
    kernels += other.kernels, fallbacks += other.fallbacks;
    return *this;
  }
};

struct Frame {
  int64_t numbers[ir::kNumRegions] = {1, 0, 0};  // 1, tokens, rows
  char* regions[ir::kNumRegions] = {};
  absl::Span<const at::Tensor> inputs;
  const StepContext* step = nullptr;
  StepTimes* times = nullptr;  // null: not wanted

  int64_t operator()(const StepSize& size) const {
    return size.size * numbers[static_cast<int>(size.of)] / size.divisor;
  }
  char* operator()(const Place& place) const {
    switch (place.in) {
      case Place::In::kArena: {
        const int region = static_cast<int>(place.region);
        return regions[region] + numbers[region] * place.at + place.offset;
      }
      case Place::In::kInput:
        return static_cast<char*>(inputs[place.at].data_ptr()) + place.offset;
      case Place::In::kConstant:
        return const_cast<char*>(place.constant) + place.offset;
    }
    return nullptr;
  }

  // Runs a kernel, whose time is no host time.
  template <typename F>
  void Kernel(F&& f) const {
    if (times == nullptr) return f();
    const auto begin = std::chrono::steady_clock::now();
    f();
    times->kernels += (std::chrono::steady_clock::now() - begin).count();
  }
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_FRAME_H_
