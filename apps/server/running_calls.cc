#include "apps/server/running_calls.h"

#include <list>
#include <mutex>
#include <utility>
#include <vector>

namespace keel::apps {

struct RunningCalls::Shared {
  std::mutex mutex;
  std::list<std::weak_ptr<RunningCall>> calls;
};

RunningCalls::RunningCalls() : shared_(std::make_shared<Shared>()) {}
RunningCalls::~RunningCalls() = default;

RunningCalls::Place RunningCalls::Add(std::weak_ptr<RunningCall> call) {
  std::lock_guard lock(shared_->mutex);
  const auto at = shared_->calls.insert(shared_->calls.end(), std::move(call));
  return Place(nullptr, [shared = shared_, at](void*) {
    std::lock_guard lock(shared->mutex);
    shared->calls.erase(at);
  });
}

size_t RunningCalls::size() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->calls.size();
}

void RunningCalls::EndAll(const CallError& error) {
  std::vector<std::shared_ptr<RunningCall>> all;
  {
    std::lock_guard lock(shared_->mutex);
    for (const auto& call : shared_->calls) {
      if (auto alive = call.lock()) all.push_back(std::move(alive));
    }
  }
  for (const auto& call : all) call->End(error);
}

}  // namespace keel::apps
