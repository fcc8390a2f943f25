// The models of a process: each is an Engine that is loaded when somebody needs it, and all of them
// share one memory budget.
//
// Threads: every function may be called from any thread but the engine's (not from an output's
// callback, except that a Lease may end there). Loads and unloads run on their callers' threads and
// hold no lock: the other models serve on.
//
// Locks: mutex_ comes before the mutex of an Engine and is never taken the other way round.
#ifndef KEEL_CORE_POOL_MODEL_POOL_H_
#define KEEL_CORE_POOL_MODEL_POOL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "core/model/options.h"

namespace keel {

enum class ModelState { kRegistered, kLoading, kReady, kUnloading, kFailed };

// "registered", "loading" ...
absl::string_view ModelStateName(ModelState state);

struct ModelInfo {
  std::string name;
  ModelState state = ModelState::kRegistered;
  absl::Status error;  // of the last load, with kFailed
  bool pinned = false;
  int64_t leases = 0;    // held or waited for
  int64_t requests = 0;  // that have not ended
  int64_t weight_bytes = 0;
  int64_t cache_bytes = 0;  // keys, values and states; while it loads: what is kept free for them
  absl::Time last_used = absl::InfinitePast();
};

class ModelPool {
 public:
  class Lease;

  // What weights, keys, values and states of all models may take together; 0: what the machine has
  // free now.
  explicit ModelPool(int64_t budget_bytes);
  // Ends every request. No lease may be held.
  ~ModelPool();
  ModelPool(const ModelPool&) = delete;
  ModelPool& operator=(const ModelPool&) = delete;

  // Registers a model; nothing is read yet. A pinned one, once loaded, goes only by Unload or
  // Remove. ALREADY_EXISTS.
  absl::Status Add(const std::string& name, EngineOptions options, bool pinned);
  // Unloads it, as Unload without waiting does, and forgets it.
  absl::Status Remove(absl::string_view name);

  // Returns when the model is ready. Who asks for a model that is being loaded waits for that load
  // and gets its result; after a failure the next call tries again.
  //
  // What it needs is known from its files before anything else happens. Then idle models that are
  // not pinned are unloaded, the least recently used first, until there is room. Errors: NOT_FOUND;
  // RESOURCE_EXHAUSTED (who has how much and why it can't go; nothing was unloaded); UNAVAILABLE
  // (it is being unloaded); what Engine::Create says.
  absl::Status Load(absl::string_view name);

  // The model's engine, loaded as by Load if need be. It stays while the lease lives, and after it
  // until the engine's requests have ended.
  absl::StatusOr<Lease> Acquire(absl::string_view name);

  // Returns when the model's memory is free. Waits up to `timeout` for leases and requests to end;
  // meanwhile nobody gets a new lease. Errors: NOT_FOUND; FAILED_PRECONDITION or, after a wait,
  // DEADLINE_EXCEEDED: so many leases and requests hold it, and it serves on.
  absl::Status Unload(absl::string_view name, absl::Duration timeout = absl::ZeroDuration());

  // By name.
  std::vector<ModelInfo> List() const;
  int64_t budget_bytes() const { return budget_bytes_; }
  // {"budget_bytes", "used_bytes", "models": [...]}: List as JSON.
  std::string ListJson() const;

 private:
  // One load, for all who wait for it.
  struct Attempt {
    bool done = false;
    absl::Status status;
  };

  // All but `options` and `name` is guarded by mutex_.
  struct Entry {
    std::string name;
    EngineOptions options;
    bool pinned = false;
    ModelState state = ModelState::kRegistered;
    absl::Status error;
    std::unique_ptr<Engine> engine;
    std::shared_ptr<Attempt> attempt;
    bool has_room = false;  // with kLoading: its bytes are claimed
    bool removed = false;
    int64_t leases = 0;
    int64_t unloaders = 0;  // that wait for it to be idle
    int64_t weight_bytes = 0;
    int64_t cache_bytes = 0;
    absl::Time last_used = absl::InfinitePast();

    int64_t bytes() const { return weight_bytes + cache_bytes; }
    int64_t requests() const {
      return engine == nullptr ? 0 : static_cast<int64_t>(engine->num_requests());
    }
    bool is_idle() const { return state == ModelState::kReady && leases == 0 && requests() == 0; }
    // It takes memory that nobody else may count on.
    bool has_memory() const {
      return state == ModelState::kReady || (state == ModelState::kLoading && has_room);
    }
  };
  using EntryPtr = std::shared_ptr<Entry>;

  absl::StatusOr<EntryPtr> Find(absl::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts a lease, then waits or loads until the engine is there. On failure the lease is given
  // back.
  absl::StatusOr<EntryPtr> Hold(absl::string_view name);
  void Release(Entry& entry);
  absl::Status MakeReady(Entry& entry);
  // The caller has set kLoading.
  absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(Entry& entry);
  // Claims room for `entry` and returns what has to be unloaded for it.
  absl::StatusOr<std::vector<EntryPtr>> ClaimRoom(Entry& entry, int64_t weight_bytes);
  // Least recently used first.
  std::vector<EntryPtr> Evictable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status NoRoom(const Entry& entry, int64_t weight_bytes, int64_t cache_bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Busy(const Entry& entry, bool waited) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginUnload(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends what BeginUnload began: without the lock, for an engine takes its time to go.
  void FinishUnload(Entry& entry, bool remove);
  absl::Status UnloadEntry(absl::string_view name, absl::Duration timeout, bool remove);

  const int64_t budget_bytes_;
  mutable absl::Mutex mutex_;
  std::map<std::string, EntryPtr, std::less<>> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t num_unloading_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_ended_loads_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Keeps a model loaded. Movable; the pool must outlive it.
class ModelPool::Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), entry_(std::move(other.entry_)) {}
  Lease& operator=(Lease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~Lease() {
    if (pool_ != nullptr) pool_->Release(*entry_);
  }

  Engine& engine() const { return *entry_->engine; }

 private:
  friend class ModelPool;
  Lease(ModelPool* pool, EntryPtr entry) : pool_(pool), entry_(std::move(entry)) {}

  ModelPool* pool_ = nullptr;
  EntryPtr entry_;
};

}  // namespace keel
#endif  // KEEL_CORE_POOL_MODEL_POOL_H_
