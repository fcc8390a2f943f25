// sdk/abi/engine.h over ModelPool: several models in one process.
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "core/capi/handles.h"
#include "core/pool/model_pool.h"
#include "sdk/abi/engine.h"

using keel::Guard;

extern "C" {

keel_status keel_models_new(int64_t budget_bytes, keel_models** out) {
  return Guard({{"out", out}}, [&]() -> absl::Status {
    if (budget_bytes < 0)
      return absl::InvalidArgumentError("budget_bytes is negative; 0 is what the machine has free");
    *out = new keel_models{std::make_shared<keel::ModelPool>(budget_bytes)};
    return absl::OkStatus();
  });
}

void keel_models_free(keel_models* models) { delete models; }

keel_status keel_models_add(keel_models* models, const char* name, const keel_options* options,
                            int32_t pinned) {
  return Guard({{"models", models}, {"name", name}, {"options", options}},
               [&] { return models->pool->Add(name, options->options, pinned != 0); });
}

keel_status keel_models_remove(keel_models* models, const char* name) {
  return Guard({{"models", models}, {"name", name}}, [&] { return models->pool->Remove(name); });
}

keel_status keel_models_load(keel_models* models, const char* name) {
  return Guard({{"models", models}, {"name", name}}, [&] { return models->pool->Load(name); });
}

keel_status keel_models_unload(keel_models* models, const char* name, int64_t timeout_ms) {
  return Guard({{"models", models}, {"name", name}}, [&] {
    return models->pool->Unload(
        name, timeout_ms < 0 ? absl::InfiniteDuration() : absl::Milliseconds(timeout_ms));
  });
}

keel_status keel_models_acquire(keel_models* models, const char* name, keel_engine** out) {
  return Guard({{"models", models}, {"name", name}, {"out", out}}, [&]() -> absl::Status {
    absl::StatusOr<keel::ModelPool::Lease> lease = models->pool->Acquire(name);
    if (!lease.ok()) return lease.status();
    auto made = std::make_unique<keel_engine>();
    made->pool = models->pool;
    made->lease = *std::move(lease);
    made->engine = &made->lease.engine();
    made->info = made->engine->info_json();
    *out = made.release();
    return absl::OkStatus();
  });
}

void keel_models_release(keel_engine* engine) { delete engine; }

keel_status keel_models_list(const keel_models* models, keel_bytes_fn sink, void* user) {
  return Guard({{"models", models}, {"sink", sink}}, [&] {
    const std::string json = models->pool->ListJson();
    sink(user, json.data(), json.size());
    return absl::OkStatus();
  });
}

}  // extern "C"
