// Whether the server takes calls.
#ifndef KEEL_APPS_SERVER_READINESS_H_
#define KEEL_APPS_SERVER_READINESS_H_

#include <atomic>

#include "apps/wire/call_error.h"

namespace keel::apps {

// May be used from any thread.
class Readiness {
 public:
  enum class State {
    kLoading,  // calls are refused
    kServing,
    kEnding,  // calls are served, but whoever chooses among servers should choose another
    kEnded,   // calls are refused
  };

  void Set(State state) { state_ = state; }

  // Why calls are refused, if they are.
  MaybeError Refusal() const {
    const State state = state_;
    if (state == State::kServing || state == State::kEnding) return std::nullopt;
    return CallError{
        .code = ErrorCode::kUnavailable,
        .message = state == State::kLoading ? "the model is loading" : "the server has ended"};
  }
  // Why no more calls should come here.
  MaybeError NotReady() const {
    if (state_ != State::kEnding) return Refusal();
    return CallError{.code = ErrorCode::kUnavailable, .message = "the server is ending"};
  }

 private:
  std::atomic<State> state_ = State::kLoading;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_READINESS_H_
