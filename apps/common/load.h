// Loading the model that the flags name, as every app does it.
#ifndef KEEL_APPS_COMMON_LOAD_H_
#define KEEL_APPS_COMMON_LOAD_H_

#include <chrono>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/progress.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What clients call the demo model.
inline constexpr char kDemoName[] = "keel-demo";
// Why there is no model when the flags name none.
Status NoDemoModel();

// Says on stderr what is loaded and what it is when it has come.
class LoadLog {
 public:
  explicit LoadLog(const std::string& path);
  // `info` is Engine::info().
  void Loaded(const boost::json::object& info) const;

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct LoadedModel {
  Engine engine;
  std::vector<std::string> names;  // that clients may call it by; the first is its own
  std::string root;                // where it was loaded from
  bool has_chat_template = false;
  boost::json::object info;  // Engine::info()
};

// Loads --model, or `demo_model` when that flag was not given, and says so on stderr. `names` are
// what clients may call it; empty: as --model was spelled.
Result<LoadedModel> LoadModel(const CommandLine& flags, const std::string& demo_model,
                              std::vector<std::string> names);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_LOAD_H_
