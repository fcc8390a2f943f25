#include "apps/server/model_flags.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "apps/common/load.h"

namespace keel::apps {
namespace {

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Status Wrong(const std::string& text, const std::string& why) {
  return Status(
      Code::kInvalidArgument,
      "--model is '" + text + "', expected [NAME=]PATH[,OPTION=VALUE...][,pinned]: " + why);
}

Result<ModelConfig> ConfigOf(const CommandLine& flags, const ModelFlag& model) {
  Result<Options> options = flags.EngineOptions(model.path);
  if (!options.ok()) return options.status();
  for (const auto& [name, value] : model.options) {
    if (Status status = options->Set(name, value); !status.ok()) {
      return Status(status.code(), "--model " + model.path + ": " + status.message());
    }
  }
  return ModelConfig{.names = {model.name.empty() ? model.path : model.name},
                     .root = model.path,
                     .options = *std::move(options),
                     .is_pinned = model.is_pinned};
}

}  // namespace

Result<ModelFlag> ParseModelFlag(const std::string& text) {
  if (Exists(text)) return ModelFlag{.name = {}, .path = text};
  ModelFlag flag;
  std::vector<std::string> parts = Split(text, ',');
  flag.path = std::move(parts.front());
  if (const size_t equals = flag.path.find('=');
      equals != std::string::npos && !Exists(flag.path)) {
    flag.name = flag.path.substr(0, equals);
    flag.path = flag.path.substr(equals + 1);
    if (flag.name.empty()) return Wrong(text, "the name before '=' is empty");
  }
  if (flag.path.empty()) return Wrong(text, "the path is empty");
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "pinned") {
      flag.is_pinned = true;
      continue;
    }
    const size_t equals = parts[i].find('=');
    if (equals == std::string::npos) {
      return Wrong(text, "'" + parts[i] + "' has no value, for instance dtype=bfloat16");
    }
    const std::string name = parts[i].substr(0, equals);
    if (name == "model") return Wrong(text, "a model cannot have another --model");
    flag.options.emplace_back(name, parts[i].substr(equals + 1));
  }
  return flag;
}

Result<std::vector<ModelConfig>> ReadModelFlags(const CommandLine& flags,
                                                const std::string& demo_model,
                                                const std::vector<std::string>& names) {
  std::vector<ModelFlag> models;
  for (const std::string& text : flags.EngineValues("model")) {
    Result<ModelFlag> model = ParseModelFlag(text);
    if (!model.ok()) return model.status();
    models.push_back(*std::move(model));
  }
  if (models.empty()) {
    if (demo_model.empty()) return NoDemoModel();
    models.push_back({.name = kDemoName, .path = demo_model});
  }
  if (!names.empty() && models.size() > 1) {
    return Status(Code::kInvalidArgument, "--served-model-name names one model and there are " +
                                              std::to_string(models.size()) +
                                              "; name each by --model NAME=PATH");
  }
  std::vector<ModelConfig> configs;
  for (const ModelFlag& model : models) {
    Result<ModelConfig> config = ConfigOf(flags, model);
    if (!config.ok()) return config.status();
    if (!names.empty()) config->names = names;
    configs.push_back(*std::move(config));
  }
  return configs;
}

}  // namespace keel::apps
