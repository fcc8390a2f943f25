// One line of a program: a kernel and where its operands lie.
#ifndef KEEL_CORE_COMPILE_CALL_H_
#define KEEL_CORE_COMPILE_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "core/compile/frame.h"

namespace keel {

// Runs once a step, on the step's thread; may keep what it fills anew each time.
class Call {
 public:
  virtual ~Call() = default;
  virtual absl::Status Run(const Frame& frame) = 0;
  // What it is for reports: whether it goes through ATen.
  virtual bool is_fallback() const { return false; }
};
using CallPtr = std::unique_ptr<Call>;

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_CALL_H_
