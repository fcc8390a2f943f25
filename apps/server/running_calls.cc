#include "apps/server/running_calls.h"

#include <algorithm>
#include <functional>
#include <list>
#include <mutex>
#include <utility>

namespace keel::apps {

struct RunningCalls::Shared {
  struct Entry {
    std::weak_ptr<RunningCall> call;
    std::vector<std::string> ids;
  };

  std::mutex mutex;
  std::list<Entry> calls;

  // Those that are wanted and still there.
  std::vector<std::shared_ptr<RunningCall>> Find(const std::function<bool(const Entry&)>& wanted) {
    std::vector<std::shared_ptr<RunningCall>> found;
    std::lock_guard lock(mutex);
    for (const Entry& entry : calls) {
      if (!wanted(entry)) continue;
      if (auto alive = entry.call.lock()) found.push_back(std::move(alive));
    }
    return found;
  }
};

RunningCalls::RunningCalls() : shared_(std::make_shared<Shared>()) {}
RunningCalls::~RunningCalls() = default;

RunningCalls::Place RunningCalls::Add(std::weak_ptr<RunningCall> call,
                                      std::vector<std::string> ids) {
  std::lock_guard lock(shared_->mutex);
  const auto at = shared_->calls.insert(shared_->calls.end(), {std::move(call), std::move(ids)});
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
  for (const auto& call : shared_->Find([](const auto&) { return true; })) call->End(error);
}

size_t RunningCalls::Abort(std::string_view id) {
  const auto found = shared_->Find([id](const Shared::Entry& entry) {
    return std::find(entry.ids.begin(), entry.ids.end(), id) != entry.ids.end();
  });
  for (const auto& call : found) call->Abort();
  return found.size();
}

size_t RunningCalls::AbortAll() {
  const auto found = shared_->Find([](const auto&) { return true; });
  for (const auto& call : found) call->Abort();
  return found.size();
}

}  // namespace keel::apps
