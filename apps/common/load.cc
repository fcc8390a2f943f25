#include "apps/common/load.h"

#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "apps/common/json_fields.h"
#include "apps/common/log.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

// "LlamaForCausalLM, 2048 tokens of context", of what is known.
std::string Describe(const json::object& info) {
  std::string text;
  const auto append = [&](const char* key, const char* before, const char* after) {
    const json::value* value = info.if_contains(key);
    if (value == nullptr || value->is_null()) return;
    if (!text.empty()) text += ", ";
    text += before;
    text += value->is_string() ? std::string(value->get_string())
                               : std::to_string(value->is_int64() ? value->get_int64() : 0);
    text += after;
  };
  append("architecture", "", "");
  append("plugin", "plugin ", "");
  append("dtype", "", "");
  append("attention_implementation", "attention ", "");
  append("max_model_len", "", " tokens of context");
  return text;
}

// "implementation native (auto: in-tree serves ...)"; "" where it is not known.
std::string DescribeImpl(const json::object& info) {
  const std::string impl = TextField(info, "model_impl");
  const std::string reason = TextField(info, "model_impl_reason");
  return impl.empty() || reason.empty() ? "" : "implementation " + impl + " (" + reason + ")";
}

void LogWarnings(const json::object& info) {
  const json::value* warnings = info.if_contains("warnings");
  if (warnings == nullptr || !warnings->is_array()) return;
  for (const json::value& warning : warnings->get_array()) {
    if (warning.is_string()) LogWarning(std::string(warning.get_string()));
  }
}

}  // namespace

Status NoDemoModel() {
  return Status(Code::kNotFound, "the demo model is not beside this program; name one by --model");
}

LoadLog::LoadLog(const std::string& path) { LogInfo("loading " + path); }

void LoadLog::Loaded(const json::object& info) const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.1f s", took.count());
  LogInfo("loaded in " + std::string(seconds) + ": " + Describe(info));
  if (const std::string impl = DescribeImpl(info); !impl.empty()) LogInfo(impl);
  LogWarnings(info);
}

Result<LoadedModel> LoadModel(const CommandLine& flags, const std::string& demo_model,
                              std::vector<std::string> names) {
  const std::optional<std::string> given = flags.EngineValue("model");
  if (!given.has_value() && demo_model.empty()) return NoDemoModel();
  const std::string path = given.value_or(demo_model);
  auto options = flags.EngineOptions(path);
  if (!options.ok()) return options.status();
  if (names.empty()) names.push_back(given.value_or(kDemoName));

  const LoadLog log(path);
  Progress progress;
  Status status = options->SetProgress([&](std::string_view stage, int64_t done, int64_t total) {
    progress.Show(stage, done, total);
  });
  if (!status.ok()) return status;
  Result<Engine> engine = Engine::Create(*options);
  progress.Clear();
  if (!engine.ok()) return engine.status();
  json::object info = ParseObject(engine->info());
  log.Loaded(info);
  const json::value* has_template = info.if_contains("has_chat_template");
  const bool has_chat_template =
      has_template != nullptr && has_template->is_bool() && has_template->get_bool();
  return LoadedModel{.engine = *std::move(engine),
                     .names = std::move(names),
                     .root = path,
                     .has_chat_template = has_chat_template,
                     .info = std::move(info)};
}

}  // namespace keel::apps
