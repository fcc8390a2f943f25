// Loading the model that the flags name, as every app does it.
#ifndef KEEL_APPS_COMMON_LOAD_H_
#define KEEL_APPS_COMMON_LOAD_H_

#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/served_model.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct LoadedModel {
  Engine engine;
  ServedModel model;
  bool has_chat_template = false;
  boost::json::object info;  // Engine::info()
};

// Loads --model, or `demo_model` when that flag was not given, and says so on stderr. `names` are
// what clients may call it; empty: as --model was spelled.
Result<LoadedModel> LoadModel(const CommandLine& flags, const std::string& demo_model,
                              std::vector<std::string> names);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_LOAD_H_
