// Divides the time of a step among its parts, for the metrics and, if there is one, the trace.
//
//   StepTimer timer(trace);
//   timer.Enter(StepPart::kSchedule);
//   ...
//   timer.Enter(StepPart::kForward);
//   ...
//   metrics.StepRan(tokens, timer.Stop({{"tokens", tokens}}));
#ifndef KEEL_CORE_ENGINE_STEP_TIMER_H_
#define KEEL_CORE_ENGINE_STEP_TIMER_H_

#include <cstdint>
#include <initializer_list>

#include "core/base/trace.h"
#include "core/engine/metrics.h"

namespace keel {

// The engine thread's. A part ends where the next begins, which costs one look at the clock. It may
// be entered again: its times add up, and the trace has a span for each (so enter a part for all of
// a step's rows, not for every row).
class StepTimer {
 public:
  explicit StepTimer(Trace* trace) : trace_(trace), start_(Trace::Now()) {}

  void Enter(StepPart part) {
    Leave();
    part_ = static_cast<int>(part);
  }

  // The step is over; a span "step" with `args` holds those of its parts. Seconds by part.
  const StepSeconds& Stop(std::initializer_list<TraceArg> args = {}) {
    Leave();
    part_ = kNone;
    if (trace_ != nullptr) trace_->Span("step", start_, since_, args);
    return seconds_;
  }

 private:
  static constexpr int kNone = -1;

  void Leave() {
    const int64_t now = Trace::Now();
    if (part_ != kNone) {
      seconds_[part_] += static_cast<double>(now - since_) * 1e-9;
      if (trace_ != nullptr) trace_->Span(kStepPartNames[part_], since_, now);
    }
    since_ = now;
  }

  Trace* const trace_;
  const int64_t start_;
  int64_t since_ = 0;  // of the part
  int part_ = kNone;
  StepSeconds seconds_ = {};
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_STEP_TIMER_H_
