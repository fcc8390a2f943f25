#include "core/conformance/subject.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/config/config_view.h"
#include "core/graph/verifier.h"
#include "core/plugin/discovery.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/loader.h"
#include "core/plugin/trust.h"

namespace keel::conformance {
namespace {

absl::StatusOr<boost::json::value> ReadConfig(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  KEEL_ASSIGN_OR_RETURN(boost::json::value config, ParseJson(text, path));
  if (!config.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected an object"));
  }
  return config;
}

// The class that a host would choose for `config`, or kNotFound.
absl::StatusOr<const keel_model_class*> ClassFor(const Plugin& plugin,
                                                 const boost::json::value& config) {
  KEEL_ASSIGN_OR_RETURN(auto architectures, FindJson<std::vector<std::string>>(
                                                config, "/architectures", "config.json"));
  KEEL_ASSIGN_OR_RETURN(const auto type,
                        FindJson<std::string>(config, "/model_type", "config.json"));
  const std::vector<std::string> names =
      std::move(architectures).value_or(std::vector<std::string>());
  for (const std::string& name : names) {
    if (const keel_model_class* found = plugin.FindModel(name)) return found;
  }
  std::vector<std::string> served;
  for (const keel_model_class* c : plugin.classes().models) {
    for (const char* const* name = c->architectures; *name != nullptr; ++name) {
      served.emplace_back(*name);
    }
    if (names.empty() && type.has_value() && c->model_type != nullptr && *type == c->model_type) {
      return c;
    }
  }
  return absl::NotFoundError(absl::StrCat("no class of the plugin serves its architectures, ",
                                          absl::StrJoin(names, ", "), "; it has classes for ",
                                          absl::StrJoin(served, ", ")));
}

absl::StatusOr<ModelUnderTest> Open(const std::shared_ptr<Plugin>& plugin,
                                    const std::string& given) {
  ModelUnderTest model;
  model.plugin = plugin;
  model.dir = IsDirectory(given) ? given : "";
  model.where = model.dir.empty() ? given : JoinPath(given, "config.json");
  KEEL_ASSIGN_OR_RETURN(model.config, ReadConfig(model.where));
  KEEL_ASSIGN_OR_RETURN(model.source.model_class, ClassFor(*plugin, model.config));
  const PluginNote& note = plugin->ref().note;
  model.source.plugin = plugin->self();
  model.source.plugin_name = absl::StrCat(note.id, " ", note.version);
  model.source.call = [raw = plugin.get()](absl::string_view what,
                                           absl::FunctionRef<keel_status()> call) {
    return raw->Call(what, call);
  };
  model.source.kernels = {plugin->classes().kernels, model.source.plugin, model.source.call};
  return model;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const Subject& subject,
                                                   const HostInterfaces& interfaces) {
  KEEL_ASSIGN_OR_RETURN(const FoundPlugins found,
                        DiscoverPlugins({.plugin_paths = {subject.plugin}}));
  if (found.plugins.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(subject.plugin, ": expected one plugin file"));
  }
  KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, PluginTrust().Authorize(found.plugins[0]));
  return PluginLoader(&interfaces).Load(std::move(image));
}

Finding ForEachModel(const Subject& subject, const HostInterfaces& interfaces,
                     absl::FunctionRef<Finding(ModelUnderTest&)> check, bool unserved_fails) {
  if (subject.configs.empty()) return Skip("no --config was given");
  const absl::StatusOr<std::shared_ptr<Plugin>> plugin = LoadPlugin(subject, interfaces);
  if (!plugin.ok()) return Skip(absl::StrCat("does not load: ", plugin.status().message()));
  if ((*plugin)->classes().models.empty()) return Skip("the plugin brings no model");
  for (const std::string& config : subject.configs) {
    absl::StatusOr<ModelUnderTest> model = Open(*plugin, config);
    Finding finding = model.ok()       ? check(*model)
                      : unserved_fails ? Fail(std::string(model.status().message()))
                                       : Skip(std::string(model.status().message()));
    if (finding.outcome == Outcome::kPass) continue;
    finding.message = absl::StrCat(config, ": ", finding.message);
    return finding;
  }
  return Pass();
}

Finding ForEachModel(const Subject& subject, absl::FunctionRef<Finding(ModelUnderTest&)> check) {
  return ForEachModel(subject, Interfaces(), check);
}

const absl::Status& Stages::status() const {
  for (const absl::Status* status : {&config, &create, &record}) {
    if (!status->ok()) return *status;
  }
  return verify;
}

Stages Record(const ModelUnderTest& model) { return Record(model, model.config); }

Stages Record(const ModelUnderTest& model, const boost::json::value& config) {
  Stages out;
  ConfigDocument document(config, "config.json");
  const absl::StatusOr<proto::ModelSpec> spec = RecordSpec(model.source, document);
  out.config = spec.status();
  if (!out.config.ok()) return out;
  absl::StatusOr<RecordedModel> declared =
      RecordDeclarations(model.source, document, config.get_object(), "config.json", *spec);
  out.create = declared.status();
  if (!out.create.ok()) return out;
  out.model = *std::move(declared);
  absl::StatusOr<std::vector<proto::Function>> functions = RecordFunctions(model.source, out.model);
  out.record = functions.status();
  if (!out.record.ok()) return out;
  out.model.graph = WithFunctions(std::move(out.model.graph), *std::move(functions));
  out.verify = VerifyGraph(out.model.graph);
  return out;
}

std::string DeclarationBytes(const proto::Graph& graph) {
  std::string bytes;
  for (const proto::Declaration& d : graph.declarations()) bytes += d.SerializeAsString();
  return bytes;
}

std::string FunctionBytes(const proto::Graph& graph) {
  std::string bytes;
  for (const proto::Function& function : graph.functions()) bytes += function.SerializeAsString();
  return bytes;
}

}  // namespace keel::conformance
