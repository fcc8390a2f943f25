// Several models in one process, for C++ programs: RAII over keel_models_* of sdk/abi/engine.h,
// nothing else. A whole program (tests/engine runs it):
//
//   #include <future>
//   #include <iostream>
//
//   #include "sdk/keel/models.h"
//
//   int main(int argc, char** argv) {
//     keel::Options options;
//     keel::Status status = options.Set("model", argc > 1 ? argv[1] : "path/to/model");
//     keel::Result<keel::Models> models = keel::Models::Create(8LL << 30);  // bytes, of all
//     if (status.ok()) status = models.status();
//     if (status.ok()) status = models->Add("small", options);
//     if (status.ok()) status = models->Add("large", options, {.pinned = true});
//     if (status.ok()) {
//       keel::Result<keel::Lease> small = models->Acquire("small");  // loads; stays while it lives
//       keel::Request request;
//       if (status = small.status(); status.ok()) status = request.SetPrompt("Once upon a time");
//       if (status.ok()) status = request.SetInt("max_tokens", 32);
//       std::promise<void> done;
//       if (status.ok()) {
//         status = small->engine()
//                      .Submit(request,
//                              [&done](const keel::Output& output) {
//                                std::cout << output.text();
//                                if (output.is_last()) done.set_value();
//                              })
//                      .status();
//       }
//       if (status.ok()) done.get_future().wait();
//     }
//     if (!status.ok()) std::cerr << status.message() << "\n";
//     return status.ok() ? 0 : 1;
//   }
//
// Errors and threads as in sdk/keel/engine.h. docs/models.md says what is loaded and unloaded when.
#ifndef KEEL_SDK_KEEL_MODELS_H_
#define KEEL_SDK_KEEL_MODELS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "sdk/abi/engine.h"
#include "sdk/keel/engine.h"

namespace keel {
inline namespace embed {

// The use of one of Models: its engine stays loaded while this lives. Movable. Requests go on after
// it; polled ones are lost. May end in a callback, while its Models live.
class Lease {
 public:
  Engine& engine() { return engine_; }

 private:
  friend class Models;
  explicit Lease(keel_engine* engine) : engine_(engine) {}

  Engine engine_;  // frees the handle, which releases it
};

// Models by name under one memory budget: see keel_models in sdk/abi/engine.h. Movable; if leases
// live longer, the last of them frees the models. Nothing here may be called in a callback.
class Models {
 public:
  // `budget_bytes` 0: what the machine has free now.
  static Result<Models> Create(int64_t budget_bytes = 0) {
    keel_models* models = nullptr;
    if (Status status = Status::FromAbi(keel_models_new(budget_bytes, &models)); !status.ok())
      return status;
    return Models(models);
  }

  struct AddOptions {
    bool pinned = false;  // never unloaded to make room
  };
  // Registers a model. The options are copied, but Options that SetProgress was called on must
  // outlive the models.
  Status Add(const std::string& name, const Options& options, AddOptions how) {
    return Status::FromAbi(
        keel_models_add(models_.get(), name.c_str(), options.handle(), how.pinned ? 1 : 0));
  }
  Status Add(const std::string& name, const Options& options) { return Add(name, options, {}); }
  // Unloads it at once or not at all, and forgets it.
  Status Remove(const std::string& name) {
    return Status::FromAbi(keel_models_remove(models_.get(), name.c_str()));
  }

  // Takes seconds where there is something to load.
  Status Load(const std::string& name) {
    return Status::FromAbi(keel_models_load(models_.get(), name.c_str()));
  }
  Result<Lease> Acquire(const std::string& name) {
    keel_engine* engine = nullptr;
    Status status = Status::FromAbi(keel_models_acquire(models_.get(), name.c_str(), &engine));
    if (!status.ok()) return status;
    return Lease(engine);
  }
  // Waits at most `timeout_ms` (-1: for ever) for its leases and requests to end.
  Status Unload(const std::string& name, int64_t timeout_ms = 0) {
    return Status::FromAbi(keel_models_unload(models_.get(), name.c_str(), timeout_ms));
  }

  // A JSON object; keel_models_list says what is in it.
  Result<std::string> List() const {
    std::string json;
    const auto append = [](void* user, const char* bytes, size_t n) {
      static_cast<std::string*>(user)->append(bytes, n);
    };
    Status status = Status::FromAbi(keel_models_list(models_.get(), append, &json));
    if (!status.ok()) return status;
    return json;
  }

 private:
  explicit Models(keel_models* models) : models_(models) {}

  struct Free {
    void operator()(keel_models* models) const { keel_models_free(models); }
  };
  std::unique_ptr<keel_models, Free> models_;
};

}  // namespace embed
}  // namespace keel

#endif  // KEEL_SDK_KEEL_MODELS_H_
