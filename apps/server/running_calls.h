// The calls that are being answered, so that they can be counted, and ended with words.
#ifndef KEEL_APPS_SERVER_RUNNING_CALLS_H_
#define KEEL_APPS_SERVER_RUNNING_CALLS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/wire/call_error.h"

namespace keel::apps {

class RunningCall {
 public:
  virtual ~RunningCall() = default;
  // Answers with the error, soon, and stops what runs for it. May be called from any thread.
  virtual void End(const CallError& error) = 0;
  // Answers with what there is, soon, as aborted. May be called from any thread.
  virtual void Abort() = 0;
};

// All functions may be called from any thread.
class RunningCalls {
 public:
  // Counts a call while it lives.
  using Place = std::shared_ptr<void>;

  RunningCalls();
  ~RunningCalls();

  // `ids` are the names that Abort knows it by.
  Place Add(std::weak_ptr<RunningCall> call, std::vector<std::string> ids = {});
  size_t size() const;
  void EndAll(const CallError& error);
  // Aborts the calls of one id, or all; says how many.
  size_t Abort(std::string_view id);
  size_t AbortAll();

 private:
  struct Shared;
  const std::shared_ptr<Shared> shared_;  // with places, which may live longer
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_RUNNING_CALLS_H_
