// The one thread that runs the steps of all engines of a process, in turn: models share the processor's threads instead
// of fighting for them, and none waits for more than one step of each other.
#ifndef KEEL_CORE_ENGINE_ENGINE_LOOP_H_
#define KEEL_CORE_ENGINE_ENGINE_LOOP_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace keel {

// What a loop runs. All on the loop's thread.
class EngineClient {
 public:
  virtual ~EngineClient() = default;
  // Does what there is to do, one step at most. Returns false when there is nothing, until the next Wake.
  virtual bool RunOnce() = 0;
  // When it has to run though nobody wakes it.
  virtual absl::Time WakeAt() const { return absl::InfiniteFuture(); }
  // Nobody had anything to do for so long.
  virtual void Idled(absl::Duration) {}
};

// Thread-safe.
class EngineLoop {
 public:
  // The process's loop. Its thread lives as long as somebody holds it.
  static std::shared_ptr<EngineLoop> Shared();

  EngineLoop();
  // All clients must have been removed.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  void Add(EngineClient* client);
  // Returns when the client does not run and will not any more. Not on the loop's thread.
  void Remove(EngineClient* client);
  // There is something to do.
  void Wake();

 private:
  void Run();
  // Waits until somebody wakes it. False: the end.
  bool Wait();

  absl::Mutex mutex_;
  std::vector<EngineClient*> clients_ ABSL_GUARDED_BY(mutex_);
  EngineClient* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_ENGINE_LOOP_H_
