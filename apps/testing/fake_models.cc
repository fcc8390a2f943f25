// keel_models_* on the fake engine. A model takes one byte: the budget is a number of models (0: any).
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "apps/testing/fake_engine.h"
#include "boost/json.hpp"
#include "sdk/abi/engine.h"

namespace {

constexpr int kDeadlineExceeded = 4, kNotFound = 5, kAlreadyExists = 6, kResourceExhausted = 8,
              kFailedPrecondition = 9;

struct Model {
  std::shared_ptr<const keel_options> options;
  bool pinned = false;
  keel_engine* engine = nullptr;
  int64_t leases = 0;
  int64_t last_used = 0;
  std::string error;
};

}  // namespace

struct keel_models {
  int64_t budget = 0;
  std::mutex mutex;
  std::condition_variable released;
  std::map<std::string, Model> models;
  int64_t clock = 0;

  keel_status Load(Model& model) {
    if (model.engine != nullptr) return 0;
    while (budget > 0 && Loaded() >= budget) {
      Model* oldest = nullptr;
      for (auto& [name, other] : models) {
        const bool may_go = other.engine != nullptr && !other.pinned && IsIdle(other);
        if (may_go && (oldest == nullptr || other.last_used < oldest->last_used)) oldest = &other;
      }
      if (oldest == nullptr) return FailWith(kResourceExhausted, "no room for another model");
      Free(*oldest);
    }
    const keel_status status = keel_engine_new(model.options.get(), &model.engine);
    model.error = status == 0 ? "" : keel_error_message();
    if (status == 0) {
      SetRelease(model.engine, [this, &model] {
        std::lock_guard lock(mutex);
        --model.leases;
        released.notify_all();
      });
    }
    return status;
  }
  int64_t Loaded() const {
    return std::count_if(models.begin(), models.end(),
                         [](const auto& m) { return m.second.engine != nullptr; });
  }
  static bool IsIdle(const Model& model) {
    return model.leases == 0 && NumRequests(model.engine) == 0;
  }
  static void Free(Model& model) {
    SetRelease(model.engine, nullptr);
    keel_engine_free(model.engine);
    model.engine = nullptr;
  }
  Model* Find(const char* name) {
    const auto it = models.find(name);
    if (it == models.end()) FailWith(kNotFound, "no such model");
    return it == models.end() ? nullptr : &it->second;
  }
};

keel_status keel_models_new(int64_t budget_bytes, keel_models** out) {
  *out = new keel_models;
  (*out)->budget = budget_bytes;
  return 0;
}
void keel_models_free(keel_models* models) {
  for (auto& [name, model] : models->models) {
    if (model.engine != nullptr) keel_models::Free(model);
  }
  delete models;
}
keel_status keel_models_add(keel_models* models, const char* name, const keel_options* options,
                            int32_t pinned) {
  std::lock_guard lock(models->mutex);
  Model model;
  model.options = CopyOptions(options);
  model.pinned = pinned != 0;
  const bool is_new = models->models.emplace(name, std::move(model)).second;
  return is_new ? 0 : FailWith(kAlreadyExists, "the name is taken");
}
keel_status keel_models_remove(keel_models* models, const char* name) {
  if (const keel_status status = keel_models_unload(models, name, 0); status != 0) return status;
  std::lock_guard lock(models->mutex);
  models->models.erase(name);
  return 0;
}
keel_status keel_models_load(keel_models* models, const char* name) {
  std::lock_guard lock(models->mutex);
  Model* model = models->Find(name);
  return model == nullptr ? kNotFound : models->Load(*model);
}
keel_status keel_models_unload(keel_models* models, const char* name, int64_t timeout_ms) {
  std::unique_lock lock(models->mutex);
  Model* model = models->Find(name);
  if (model == nullptr) return kNotFound;
  if (model->engine == nullptr) return 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!keel_models::IsIdle(*model)) {
    if (timeout_ms == 0) return FailWith(kFailedPrecondition, "the model is in use");
    if (timeout_ms > 0 && std::chrono::steady_clock::now() > end) {
      return FailWith(kDeadlineExceeded, "the model is still in use");
    }
    models->released.wait_for(lock, std::chrono::milliseconds(1));
  }
  keel_models::Free(*model);
  return 0;
}
keel_status keel_models_acquire(keel_models* models, const char* name, keel_engine** out) {
  std::lock_guard lock(models->mutex);
  Model* model = models->Find(name);
  if (model == nullptr) return kNotFound;
  if (const keel_status status = models->Load(*model); status != 0) return status;
  ++model->leases;
  model->last_used = ++models->clock;
  *out = model->engine;
  return 0;
}
void keel_models_release(keel_engine* engine) { keel_engine_free(engine); }
keel_status keel_models_list(const keel_models* models, keel_bytes_fn sink, void* user) {
  std::lock_guard lock(const_cast<keel_models*>(models)->mutex);
  boost::json::array list;
  for (const auto& [name, model] : models->models) {
    const char* state = model.engine != nullptr ? "ready"
                        : model.error.empty()   ? "registered"
                                                : "failed";
    list.push_back({{"name", name},
                    {"state", state},
                    {"error", model.error},
                    {"pinned", model.pinned},
                    {"leases", model.leases},
                    {"last_used_unix_ms", model.last_used}});
  }
  const std::string text = boost::json::serialize(
      boost::json::object{{"budget_bytes", models->budget}, {"models", std::move(list)}});
  sink(user, text.data(), text.size());
  return 0;
}
