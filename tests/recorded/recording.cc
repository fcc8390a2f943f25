#include "tests/recorded/recording.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/plugin/catalog.h"
#include "core/plugin/discovery.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/loader.h"
#include "core/plugin/trust.h"

namespace keel {
namespace {

PluginLoader& Loader() {
  static auto* loader = new PluginLoader(&Interfaces());
  return *loader;
}

// Keeps the first error of a parse.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(absl::string_view where) : where_(where) {}
  void AddError(int line, int column, const std::string& message) override {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat(where_, ":", line + 1, ":", column + 1, ": ", message));
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const absl::string_view where_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Plugin>> OpenPlugin(const PluginRef& ref) {
  KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, PluginTrust().Authorize(ref));
  return Loader().Load(std::move(image));
}

absl::StatusOr<Recording> RecordPlugin(const std::string& plugin,
                                       const boost::json::value& config) {
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins({.plugin_paths = {plugin}}));
  ModelQuery query;
  KEEL_ASSIGN_OR_RETURN(query.architectures,
                        GetJson<std::vector<std::string>>(config, "/architectures", "config.json"));
  KEEL_ASSIGN_OR_RETURN(
      const ModelChoice choice,
      PluginCatalog(std::move(found), RemoteCodePolicy::Mode::kNone).FindModel(query));
  Recording out;
  KEEL_ASSIGN_OR_RETURN(out.plugin, OpenPlugin(choice.plugin));
  ModelSource source;
  KEEL_ASSIGN_OR_RETURN(source.model_class, FindModelClass(*out.plugin, choice));
  source.plugin = out.plugin->self();
  const PluginNote& note = out.plugin->ref().note;
  source.plugin_name = absl::StrCat(note.id, " ", note.version);
  source.call = [raw = out.plugin.get()](absl::string_view what,
                                         absl::FunctionRef<keel_status()> call) {
    return raw->Call(what, call);
  };
  source.kernels = {out.plugin->classes().kernels, source.plugin, source.call};
  out.kernels = source.kernels;
  KEEL_ASSIGN_OR_RETURN(out.model, RecordModel(source, config, "config.json"));
  return out;
}

absl::StatusOr<Recording> RecordDirectory(const std::string& plugin, const std::string& dir) {
  const std::string path = JoinPath(dir, "config.json");
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  KEEL_ASSIGN_OR_RETURN(const boost::json::value config, ParseJson(text, path));
  return RecordPlugin(plugin, config);
}

std::vector<std::string> RecordedDirectories(const std::string& dir) {
  const auto is_one = [](const std::filesystem::path& path) {
    return std::filesystem::exists(path / "graph.textproto");
  };
  if (is_one(dir)) return {dir};
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (is_one(entry.path())) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string GraphText(const proto::Graph& graph) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  printer.PrintToString(graph, &text);
  return text;
}

absl::StatusOr<proto::Graph> ParseGraphText(absl::string_view text, absl::string_view where) {
  FirstError errors(where);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  proto::Graph graph;
  if (!parser.ParseFromString(std::string(text), &graph)) return errors.status();
  return graph;
}

}  // namespace keel
