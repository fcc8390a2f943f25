// A file of flags, as --config names it.
#ifndef KEEL_APPS_COMMON_CONFIG_FILE_H_
#define KEEL_APPS_COMMON_CONFIG_FILE_H_

#include <istream>
#include <string>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

// What one line of such a file says.
struct Setting {
  std::string flag;                 // "--max-model-len"
  std::vector<std::string> values;  // at least one
  std::string where;                // "keel.yaml, line 3"
};

// Reads a YAML mapping of flags' names to a value or a list of values: "max-model-len: 4096", with
// or without dashes before it, with _ or - in it. A key without a value is as if it were not there.
Result<std::vector<Setting>> ReadConfigFile(std::istream& file, const std::string& name);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_CONFIG_FILE_H_
