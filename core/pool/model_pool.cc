#include "core/pool/model_pool.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <exception>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/model/cache_size.h"

namespace keel {
namespace {

// An engine's requests end without telling the pool.
constexpr absl::Duration kRequestsPoll = absl::Milliseconds(5);

// Weights that were cast and caches of middle size lie in the heap, which keeps what is freed.
void GiveMemoryBack() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

std::string Count(int64_t n, absl::string_view what) {
  return absl::StrCat(n, " ", what, n == 1 ? "" : "s");
}

// What comes out as an exception (memory that ran out) must not leave a model loading for ever.
absl::StatusOr<std::unique_ptr<Engine>> CreateEngine(const EngineOptions& options) {
  try {
    return Engine::Create(options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model '", options.model.name, "': the process has no memory left"));
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("model '", options.model.name, "': ", e.what()));
  }
}

int64_t CacheBytes(const Model& model) {
  return model.kv_cache_bytes +
         model.executor->cache_layout().state_bytes * model.blocks.num_state_slots;
}

}  // namespace

absl::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kRegistered:
      return "registered";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kUnloading:
      return "unloading";
    case ModelState::kFailed:
      return "failed";
  }
  return "";
}

ModelPool::ModelPool(int64_t budget_bytes)
    : budget_bytes_(budget_bytes > 0 ? budget_bytes : AvailableMemory()) {}

ModelPool::~ModelPool() {
  entries_.clear();
  GiveMemoryBack();
}

absl::StatusOr<ModelPool::EntryPtr> ModelPool::Find(absl::string_view name) const {
  const auto it = entries_.find(name);
  if (it != entries_.end()) return it->second;
  std::vector<std::string> names;
  for (const auto& [known, entry] : entries_) names.push_back(known);
  return absl::NotFoundError(absl::StrCat("no model is called '", name, "'; there are: ",
                                          names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::Status ModelPool::Add(const std::string& name, EngineOptions options, bool pinned) {
  if (name.empty()) return absl::InvalidArgumentError("a model's name is empty");
  auto entry = std::make_shared<Entry>();
  entry->name = name;
  entry->options = std::move(options);
  entry->options.model.served_name = name;
  entry->pinned = pinned;
  absl::MutexLock lock(&mutex_);
  if (!entries_.emplace(name, std::move(entry)).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("a model is called '", name, "' already; remove it first"));
  }
  return absl::OkStatus();
}

absl::Status ModelPool::Remove(absl::string_view name) {
  return UnloadEntry(name, absl::ZeroDuration(), /*remove=*/true);
}

absl::Status ModelPool::Unload(absl::string_view name, absl::Duration timeout) {
  return UnloadEntry(name, timeout, /*remove=*/false);
}

absl::Status ModelPool::Load(absl::string_view name) {
  KEEL_ASSIGN_OR_RETURN(const EntryPtr entry, Hold(name));
  Release(*entry);
  return absl::OkStatus();
}

absl::StatusOr<ModelPool::Lease> ModelPool::Acquire(absl::string_view name) {
  KEEL_ASSIGN_OR_RETURN(EntryPtr entry, Hold(name));
  return Lease(this, std::move(entry));
}

absl::StatusOr<ModelPool::EntryPtr> ModelPool::Hold(absl::string_view name) {
  EntryPtr entry;
  {
    absl::MutexLock lock(&mutex_);
    KEEL_ASSIGN_OR_RETURN(entry, Find(name));
    // Before any wait: nobody may take the model away between the end of its load and its use.
    ++entry->leases;
  }
  const absl::Status status = MakeReady(*entry);
  if (status.ok()) return entry;
  Release(*entry);
  return status;
}

void ModelPool::Release(Entry& entry) {
  absl::MutexLock lock(&mutex_);
  --entry.leases;
  entry.last_used = absl::Now();
}

absl::Status ModelPool::MakeReady(Entry& entry) {
  auto attempt = std::make_shared<Attempt>();
  {
    absl::MutexLock lock(&mutex_);
    const auto is_settled = [&entry] { return entry.state != ModelState::kUnloading; };
    mutex_.Await(absl::Condition(&is_settled));
    if (entry.removed)
      return absl::NotFoundError(absl::StrCat("model '", entry.name, "' was removed"));
    if (entry.unloaders > 0) {
      return absl::UnavailableError(
          absl::StrCat("model '", entry.name, "' is being unloaded; try again later"));
    }
    entry.last_used = absl::Now();
    if (entry.state == ModelState::kReady) return absl::OkStatus();
    if (entry.state == ModelState::kLoading) {
      attempt = entry.attempt;
      mutex_.Await(absl::Condition(&attempt->done));
      return attempt->status;
    }
    entry.state = ModelState::kLoading;
    entry.error = absl::OkStatus();
    entry.attempt = attempt;
  }
  absl::StatusOr<std::unique_ptr<Engine>> engine = LoadEngine(entry);
  if (!engine.ok()) GiveMemoryBack();
  absl::MutexLock lock(&mutex_);
  attempt->done = true;
  attempt->status = engine.status();
  ++num_ended_loads_;
  entry.has_room = false;
  entry.error = engine.status();
  if (engine.ok()) {
    entry.cache_bytes = CacheBytes((*engine)->model());
    entry.engine = *std::move(engine);
    entry.state = ModelState::kReady;
  } else {
    entry.weight_bytes = entry.cache_bytes = 0;
    entry.state = ModelState::kFailed;
  }
  return entry.error;
}

absl::StatusOr<std::unique_ptr<Engine>> ModelPool::LoadEngine(Entry& entry) {
  // Nobody is unloaded for a model whose files are not there.
  KEEL_ASSIGN_OR_RETURN(const int64_t weight_bytes,
                        WeightBytesOf(entry.options.model, entry.options.executor.quantization));
  KEEL_ASSIGN_OR_RETURN(const std::vector<EntryPtr> evicted, ClaimRoom(entry, weight_bytes));
  for (const EntryPtr& other : evicted) FinishUnload(*other, /*remove=*/false);
  EngineOptions options = entry.options;
  {
    absl::MutexLock lock(&mutex_);
    // What others are unloading counts as free already.
    const auto is_free = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return num_unloading_ == 0; };
    mutex_.Await(absl::Condition(&is_free));
    if (options.cache.memory_bytes == 0) {
      const double available = static_cast<double>(entry.cache_bytes) / options.cache.memory_share;
      options.cache.available_memory = std::max<int64_t>(static_cast<int64_t>(available), 1);
    }
  }
  return CreateEngine(options);
}

absl::StatusOr<std::vector<ModelPool::EntryPtr>> ModelPool::ClaimRoom(Entry& entry,
                                                                      int64_t weight_bytes) {
  absl::MutexLock lock(&mutex_);
  while (true) {
    int64_t used = 0, pinned = 0, loading = 0, idle = 0;
    for (const auto& [name, other] : entries_) {
      if (!other->has_memory()) continue;
      used += other->bytes();
      if (other->pinned) pinned += other->bytes();
      if (other->state == ModelState::kLoading) loading += other->bytes();
    }
    const std::vector<EntryPtr> evictable = Evictable();
    for (const EntryPtr& other : evictable) idle += other->bytes();
    // The share is of what the pinned models leave, whoever else is there now: a model gets the
    // same cache each time.
    const int64_t left = std::max<int64_t>(budget_bytes_ - pinned - weight_bytes, 0);
    const int64_t cache_bytes =
        entry.options.cache.memory_bytes > 0
            ? entry.options.cache.memory_bytes
            : static_cast<int64_t>(static_cast<double>(left) * entry.options.cache.memory_share);
    const int64_t free = budget_bytes_ - used, need = weight_bytes + cache_bytes;
    if (need > free + idle) {
      if (loading == 0 || need > free + idle + loading)
        return NoRoom(entry, weight_bytes, cache_bytes);
      // A load often takes less than was kept for it, and may fail; then look again.
      const auto has_ended = [this, ended = num_ended_loads_]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                 mutex_) { return num_ended_loads_ != ended; };
      mutex_.Await(absl::Condition(&has_ended));
      continue;
    }
    std::vector<EntryPtr> evicted;
    int64_t room = free;
    for (const EntryPtr& other : evictable) {
      if (room >= need) break;
      room += other->bytes();
      BeginUnload(*other);
      evicted.push_back(other);
    }
    entry.weight_bytes = weight_bytes;
    entry.cache_bytes = cache_bytes;
    entry.has_room = true;
    return evicted;
  }
}

std::vector<ModelPool::EntryPtr> ModelPool::Evictable() const {
  std::vector<EntryPtr> out;
  for (const auto& [name, entry] : entries_) {
    if (entry->is_idle() && !entry->pinned) out.push_back(entry);
  }
  std::sort(out.begin(), out.end(),
            [](const EntryPtr& a, const EntryPtr& b) { return a->last_used < b->last_used; });
  return out;
}

absl::Status ModelPool::NoRoom(const Entry& entry, int64_t weight_bytes,
                               int64_t cache_bytes) const {
  std::vector<std::string> holders;
  int64_t used = 0;
  for (const auto& [name, other] : entries_) {
    if (!other->has_memory()) continue;
    used += other->bytes();
    const std::string why = other->state == ModelState::kLoading ? "loading"
                            : !other->is_idle()
                                ? absl::StrCat("answering: ", Count(other->leases, "lease"), ", ",
                                               Count(other->requests(), "request"))
                            : other->pinned ? "pinned"
                                            : "idle, not enough";
    holders.push_back(absl::StrCat("'", name, "' ", other->bytes(), " (", why, ")"));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("model '", entry.name, "' needs ", weight_bytes + cache_bytes,
                   " bytes (weights ", weight_bytes, ", cache ", cache_bytes, "), the budget is ",
                   budget_bytes_, " and ", budget_bytes_ - used,
                   " are free; loaded: ", holders.empty() ? "none" : absl::StrJoin(holders, ", "),
                   "; unload one, wait for one, or lower --kv-cache-memory-bytes"));
}

absl::Status ModelPool::Busy(const Entry& entry, bool waited) const {
  const std::string message =
      absl::StrCat("model '", entry.name, "' is in use by ", Count(entry.leases, "lease"), " and ",
                   Count(entry.requests(), "request"),
                   entry.state == ModelState::kLoading ? " (it is being loaded)" : "");
  return waited ? absl::DeadlineExceededError(message) : absl::FailedPreconditionError(message);
}

void ModelPool::BeginUnload(Entry& entry) {
  entry.state = ModelState::kUnloading;
  ++num_unloading_;
}

void ModelPool::FinishUnload(Entry& entry, bool remove) {
  // In this state nobody else touches the engine.
  std::unique_ptr<Engine> engine;
  {
    absl::MutexLock lock(&mutex_);
    engine = std::move(entry.engine);
  }
  engine.reset();
  GiveMemoryBack();
  absl::MutexLock lock(&mutex_);
  --num_unloading_;
  entry.weight_bytes = entry.cache_bytes = 0;
  entry.state = ModelState::kRegistered;
  entry.removed = remove;
  if (remove) entries_.erase(entry.name);
}

absl::Status ModelPool::UnloadEntry(absl::string_view name, absl::Duration timeout, bool remove) {
  const absl::Time deadline = absl::Now() + timeout;
  EntryPtr entry;
  {
    absl::MutexLock lock(&mutex_);
    KEEL_ASSIGN_OR_RETURN(entry, Find(name));
    ++entry->unloaders;
    absl::Status status;
    while (true) {
      const auto is_settled = [&entry] { return entry->state != ModelState::kUnloading; };
      mutex_.Await(absl::Condition(&is_settled));
      const bool is_loaded =
          entry->state == ModelState::kReady || entry->state == ModelState::kLoading;
      // Whoever waits with a lease for a model that is to be removed learns that it is gone.
      if (entry->removed || !is_loaded || entry->is_idle()) break;
      if (absl::Now() >= deadline) {
        status = Busy(*entry, timeout > absl::ZeroDuration());
        break;
      }
      const auto may_be_idle = [&entry] {
        return entry->leases == 0 && entry->state == ModelState::kReady;
      };
      const bool never = false;
      if (may_be_idle()) {
        mutex_.AwaitWithTimeout(absl::Condition(&never), kRequestsPoll);
      } else {
        mutex_.AwaitWithDeadline(absl::Condition(&may_be_idle), deadline);
      }
    }
    --entry->unloaders;
    if (!status.ok()) return status;
    if (entry->removed || entry->state != ModelState::kReady) {
      if (remove && !entry->removed) {
        entry->removed = true;
        entries_.erase(entry->name);
      }
      return absl::OkStatus();
    }
    BeginUnload(*entry);
  }
  FinishUnload(*entry, remove);
  return absl::OkStatus();
}

std::vector<ModelInfo> ModelPool::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ModelInfo> out;
  for (const auto& [name, entry] : entries_) {
    out.push_back({name, entry->state, entry->error, entry->pinned, entry->leases,
                   entry->requests(), entry->weight_bytes, entry->cache_bytes, entry->last_used});
  }
  return out;
}

std::string ModelPool::ListJson() const {
  boost::json::array models;
  int64_t used = 0;
  for (const ModelInfo& info : List()) {
    used += info.weight_bytes + info.cache_bytes;
    boost::json::object model{{"name", info.name},
                              {"state", std::string(ModelStateName(info.state))},
                              {"pinned", info.pinned},
                              {"leases", info.leases},
                              {"requests", info.requests},
                              {"weight_bytes", info.weight_bytes},
                              {"cache_bytes", info.cache_bytes}};
    if (!info.error.ok()) model["error"] = BoundedMessage(info.error);
    if (info.last_used != absl::InfinitePast())
      model["last_used_unix_ms"] = absl::ToUnixMillis(info.last_used);
    models.push_back(std::move(model));
  }
  return boost::json::serialize(boost::json::object{
      {"budget_bytes", budget_bytes_}, {"used_bytes", used}, {"models", std::move(models)}});
}

}  // namespace keel
