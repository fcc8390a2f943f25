#include "apps/common/config_file.h"

#include <algorithm>
#include <cstddef>

#include "yaml-cpp/yaml.h"

namespace keel::apps {
namespace {

std::string Where(const std::string& name, const YAML::Mark& mark) {
  return name + ", line " + std::to_string(mark.line + 1);
}

Status Wrong(const std::string& where, const std::string& what) {
  return Status(Code::kInvalidArgument, where + ": " + what);
}

std::string FlagOf(std::string key) {
  key.erase(0, std::min(key.find_first_not_of('-'), key.size()));
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

Result<std::vector<Setting>> Read(const YAML::Node& root, const std::string& name) {
  std::vector<Setting> settings;
  if (root.IsNull()) return settings;
  if (!root.IsMap()) {
    return Wrong(Where(name, root.Mark()),
                 "expected a flag's name and its value in each line: max-model-len: 4096");
  }
  for (const auto& entry : root) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    if (!key.IsScalar()) return Wrong(Where(name, key.Mark()), "expected a flag's name");
    Setting setting{.flag = FlagOf(key.Scalar()), .values = {}, .where = Where(name, key.Mark())};
    if (value.IsNull()) continue;
    if (value.IsMap()) {
      return Wrong(setting.where, key.Scalar() +
                                      " is a mapping, expected a value or a list; write a JSON "
                                      "object between single quotes");
    }
    if (value.IsScalar()) setting.values.push_back(value.Scalar());
    for (size_t i = 0; value.IsSequence() && i < value.size(); ++i) {
      if (!value[i].IsScalar()) {
        return Wrong(setting.where, key.Scalar() + " has something else than values in its list");
      }
      setting.values.push_back(value[i].Scalar());
    }
    if (!setting.values.empty()) settings.push_back(std::move(setting));
  }
  return settings;
}

}  // namespace

Result<std::vector<Setting>> ReadConfigFile(std::istream& file, const std::string& name) {
  try {
    return Read(YAML::Load(file), name);
  } catch (const YAML::Exception& error) {
    return Wrong(Where(name, error.mark), "no valid YAML: " + error.msg);
  }
}

}  // namespace keel::apps
