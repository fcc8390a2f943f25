// --model, once or several times: which models a server has.
#ifndef KEEL_APPS_SERVER_MODEL_FLAGS_H_
#define KEEL_APPS_SERVER_MODEL_FLAGS_H_

#include <string>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/server/served_models.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// One value of --model: [NAME=]PATH[,OPTION=VALUE...][,pinned].
struct ModelFlag {
  std::string name = {};  // empty: as the path is spelled
  std::string path = {};
  std::vector<std::pair<std::string, std::string>> options = {};  // of this model alone
  bool is_pinned = false;
};

// A text that is a path on this machine as it stands is one, whatever is in it.
Result<ModelFlag> ParseModelFlag(const std::string& text);

// The models that the flags ask for, at least one: `demo_model` if they name none. `names` are
// --served-model-name, for a single model.
Result<std::vector<ModelConfig>> ReadModelFlags(const CommandLine& flags,
                                                const std::string& demo_model,
                                                const std::vector<std::string>& names);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_MODEL_FLAGS_H_
