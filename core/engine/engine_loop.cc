#include "core/engine/engine_loop.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace keel {

std::shared_ptr<EngineLoop> EngineLoop::Shared() {
  static absl::Mutex mutex;
  static auto* shared = new std::weak_ptr<EngineLoop>();
  absl::MutexLock lock(&mutex);
  std::shared_ptr<EngineLoop> loop = shared->lock();
  if (loop == nullptr) *shared = loop = std::make_shared<EngineLoop>();
  return loop;
}

EngineLoop::EngineLoop() : thread_([this] { Run(); }) {}

EngineLoop::~EngineLoop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void EngineLoop::Add(EngineClient* client) {
  absl::MutexLock lock(&mutex_);
  clients_.push_back(client);
  woken_ = true;
}

void EngineLoop::Remove(EngineClient* client) {
  absl::MutexLock lock(&mutex_);
  std::erase(clients_, client);
  const auto is_idle = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ != client; };
  mutex_.Await(absl::Condition(&is_idle));
}

void EngineLoop::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void EngineLoop::Run() {
  do {
    bool did_something = true;
    while (did_something) {
      did_something = false;
      std::vector<EngineClient*> clients;
      {
        absl::MutexLock lock(&mutex_);
        woken_ = false;
        clients = clients_;
      }
      for (EngineClient* client : clients) {
        {
          absl::MutexLock lock(&mutex_);
          // It may have been removed, or the process may be ending, since the list was copied.
          if (std::find(clients_.begin(), clients_.end(), client) == clients_.end()) continue;
          running_ = client;
        }
        did_something |= client->RunOnce();
        absl::MutexLock lock(&mutex_);
        running_ = nullptr;
      }
    }
  } while (Wait());
}

bool EngineLoop::Wait() {
  const auto is_woken = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_ || stopping_; };
  const absl::Time start = absl::Now();
  absl::MutexLock lock(&mutex_);
  absl::Time wake_at = absl::InfiniteFuture();
  for (const EngineClient* client : clients_) wake_at = std::min(wake_at, client->WakeAt());
  mutex_.AwaitWithDeadline(absl::Condition(&is_woken), wake_at);
  for (EngineClient* client : clients_) client->Idled(absl::Now() - start);
  return !stopping_;
}

}  // namespace keel
