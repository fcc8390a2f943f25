// The models of a server, by the names that clients call them.
#ifndef KEEL_APPS_SERVER_SERVED_MODELS_H_
#define KEEL_APPS_SERVER_SERVED_MODELS_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/progress.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"
#include "sdk/keel/models.h"

namespace keel::apps {

// A model as the flags describe it.
struct ModelConfig {
  std::vector<std::string> names;  // not empty; the first is its id, all mean the same model
  std::string root;                // where it is loaded from
  Options options;
  bool is_pinned = false;  // once loaded it goes only when it is told to
};

// keel::Models, with names, facts and words on stderr. Models are added before the first request; after
// that all functions may be called from any thread but not in an output's callback.
class ServedModels {
 public:
  // A model as it is now.
  struct State {
    std::vector<std::string> names;
    std::string root;
    int64_t created = 0;        // seconds since 1970
    std::string state;          // "registered", "loading", "ready", "unloading" or "failed"
    boost::json::object usage;  // what keel_models_list says of it
    boost::json::object info;   // what the engine says of itself; empty while it is not ready
  };

  // `budget_bytes`: what all models may take together; 0: what is free now.
  static Result<std::unique_ptr<ServedModels>> Create(int64_t budget_bytes);

  // ALREADY_EXISTS: one of its names is taken.
  Status Add(ModelConfig config);

  // All names of all models; the first is the model of calls that name none.
  const std::vector<std::string>& names() const { return names_; }

  // The engine of the model called `name`, loaded first if need be. It stays while this lives, and may
  // be let go in an output's callback.
  Result<std::shared_ptr<Engine>> Acquire(const std::string& name);
  // Acquire would not have to load it.
  bool IsReady(const std::string& name) const;
  // Takes seconds, and says on stderr how it gets on.
  Status Load(const std::string& name);
  // Waits for calls that run, at most `timeout`.
  Status Unload(const std::string& name, std::chrono::milliseconds timeout);

  State Describe(const std::string& name) const;
  // Of each model, in the order of Add.
  std::vector<State> List() const;
  // For each model that is ready.
  void ForEachReady(const std::function<void(const std::string& id, Engine& engine)>& fn);

  // Ends what runs and frees all. False: something did not end in time, and is still there.
  bool Close(std::chrono::milliseconds timeout);

 private:
  struct Entry {
    ModelConfig config;
    int64_t created = 0;
    Progress progress;
    mutable std::mutex mutex;
    std::string info;  // JSON of the last load
  };

  explicit ServedModels(Models models) : models_(std::move(models)) {}

  Entry& Find(const std::string& name);
  const Entry& Find(const std::string& name) const {
    return const_cast<ServedModels*>(this)->Find(name);
  }
  // What keel_models_list says, by id.
  boost::json::object UsageOf(const std::string& id) const;
  static State StateOf(const Entry& entry, boost::json::object usage);

  std::deque<Entry> entries_;  // they stay where they are; a load shows its progress on one
  Models models_;
  std::vector<std::string> names_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_SERVED_MODELS_H_
