// What the endpoints serve: an engine and its names. Absent while the model loads.
#ifndef KEEL_APPS_SERVER_SERVING_H_
#define KEEL_APPS_SERVER_SERVING_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "apps/common/served_model.h"
#include "apps/server/router.h"
#include "apps/wire/dialect.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Owned by main. An engine must not be freed by one of its own callbacks, so what runs on it holds
// leases, and main waits until there are none.
class Serving {
 public:
  using Lease = std::shared_ptr<void>;

  Serving(Engine engine, ServedModel model) : engine(std::move(engine)), model(std::move(model)) {}

  Lease Acquire() {
    std::lock_guard lock(mutex_);
    ++leases_;
    return Lease(nullptr, [this](void*) {
      std::lock_guard lock(mutex_);
      if (--leases_ == 0) unused_.notify_all();
    });
  }
  // False: still in use after `timeout`.
  bool WaitUntilUnused(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return unused_.wait_for(lock, timeout, [&] { return leases_ == 0; });
  }

  Engine engine;
  const ServedModel model;

 private:
  std::mutex mutex_;
  std::condition_variable unused_;
  int leases_ = 0;
};

// May be used from any thread.
class ServingSlot {
 public:
  void Set(Serving* serving) { serving_ = serving; }
  // Null while the model loads.
  Serving* Get() const { return serving_; }
  // Null, and 503 is answered, while the model loads.
  Serving* GetOrRefuse(Exchange& exchange) const {
    Serving* serving = Get();
    if (serving == nullptr) {
      RespondError(exchange, FromEngine(Status(Code::kUnavailable, "the model is loading")));
    }
    return serving;
  }

 private:
  std::atomic<Serving*> serving_ = nullptr;
};

// Each adds the endpoints of one file to `router`; all arguments must outlive the server.
void AddGenerateEndpoints(Router& router, const ServingSlot& slot, const Dialect& dialect);
void AddModelEndpoints(Router& router, const ServingSlot& slot);  // /v1/models, /info, /version
void AddTokenEndpoints(Router& router, const ServingSlot& slot);  // /tokenize, /detokenize

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_SERVING_H_
