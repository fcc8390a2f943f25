// The clauses about whose code serves the model, and what that code records.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/config/generic_keys.h"
#include "core/exec/rank.h"
#include "core/graph/stages.h"
#include "core/model/pooling.h"
#include "core/model/remote_graph.h"
#include "core/ops/plugin_kernel.h"
#include "core/ops/served.h"

namespace keel::clauses {
namespace {

namespace json = boost::json;

std::string ExportCommand(const Inspection& x) {
  return absl::StrCat("keel export-transformers ", x.dir);
}

// A value that turns off what its key is for.
bool IsOff(const json::value& value) {
  return value.is_null() || value == json::value(false) || value == json::value(0) ||
         (value.is_string() && value.get_string().empty()) ||
         (value.is_array() && value.get_array().empty()) ||
         (value.is_object() && value.get_object().empty());
}

// Keys of `config` that neither the plugin asked for nor every model has.
void FindUnknownKeys(const json::object& config, const std::string& path,
                     const std::set<std::string>& asked, std::vector<std::string>* unknown) {
  for (const auto& [key, value] : config) {
    const std::string name = absl::StrCat(path, std::string(key.data(), key.size()));
    const std::string inner = absl::StrCat(name, ".");
    const auto below = asked.lower_bound(inner);
    if (value.is_object() && below != asked.end() && absl::StartsWith(*below, inner)) {
      FindUnknownKeys(value.get_object(), inner, asked, unknown);
    } else if (asked.count(name) == 0 && !IsGenericKey({key.data(), key.size()}) && !IsOff(value)) {
      unknown->push_back(absl::StrCat(name, ": ", JsonSnippet(value)));
    }
  }
}

bool IsGraphFile(const Inspection& x) {
  return x.choice.has_value() && x.choice->plugin.kind == PluginKind::kGraph;
}

absl::StatusOr<RecordedModel> ReadOrRecord(const Inspection& x) {
  if (!IsGraphFile(x)) return RecordChoice(x.plugin, *x.choice, *x.trust, *x.checkpoint);
  RecordedModel read;  // whose it is has a clause of its own
  KEEL_ASSIGN_OR_RETURN(read.graph, ReadRemoteGraph(*x.trust, x.choice->plugin));
  return read;
}

}  // namespace

std::string Mend(const Inspection& x, absl::string_view in_plugin) {
  if (!IsGraphFile(x)) return std::string(in_plugin);
  return absl::StrCat("export the graph again: ", ExportAgain(x.choice->plugin, x.dir));
}

Finding Architecture(Inspection& x) {
  absl::StatusOr<ModelQuery> query = QueryOf(x.config, x.options.engine.model.impl, x.dir);
  if (!query.ok()) return Fail(query.status(), "mend config.json");
  x.query = *std::move(query);
  if (!x.query.architectures.empty()) {
    return Pass(
        absl::StrCat(absl::StrJoin(x.query.architectures, ", "), " (config.json: architectures)"));
  }
  if (!x.query.model_type.empty())
    return Pass(absl::StrCat(x.query.model_type, " (config.json: model_type)"));
  return Fail("config.json has neither architectures nor model_type",
              "add \"architectures\": [the name of the model's class]");
}

Finding Plugins(Inspection& x) {
  const ModelOptions& options = x.options.engine.model;
  absl::StatusOr<PluginCatalog> plugins = FindPlugins(options, x.dir, PreferenceOf(options));
  if (!plugins.ok()) return Fail(plugins.status(), "mend the path or the manifest");
  absl::StatusOr<PluginTrust> trust = OpenTrust(options);
  if (!trust.ok()) return Fail(trust.status(), "mend the trust file (docs/security.md)");
  x.trust.emplace(*std::move(trust));
  x.plugins.emplace(*std::move(plugins));
  const FoundPlugins& found = x.plugins->found();
  std::map<PluginOrigin, int> counts;
  for (const PluginRef& ref : found.plugins) ++counts[ref.origin];
  std::vector<std::string> words;
  for (const auto& [origin, count] : counts)
    words.push_back(absl::StrCat(count, " ", PluginOriginName(origin)));
  const std::string text = words.empty() ? "none" : absl::StrJoin(words, ", ");
  if (found.skipped.empty()) return Pass(text);
  return Warn(absl::StrCat(text, "; ", found.skipped.size(), " skipped"),
              "rebuild or remove what is skipped", FirstLines(found.skipped));
}

Finding AutoMap(Inspection& x) {
  const json::value* map = FindJsonValue(x.config, "/auto_map");
  if (map == nullptr || map->is_null()) return Pass("none");
  if (!map->is_object())
    return Fail(absl::StrCat("auto_map is ", JsonKindName(*map)), "write it as an object");
  std::vector<std::string> python;
  bool has_plugin = false;
  for (const auto& [key, value] : map->get_object()) {
    const std::string name(key.data(), key.size());
    if (absl::StartsWith(name, "Keel")) {
      has_plugin = true;
    } else {
      python.push_back(absl::StrCat(name, ": ", JsonSnippet(value)));
    }
  }
  if (has_plugin) return Pass("leads to a manifest of Keel's beside the checkpoint", python);
  if (x.plugins->FindModel(x.query).ok())
    return Pass("Python alone, for other servers; the architecture is served without it", python);
  return Fail("leads to Python alone, which is not run, and nothing else serves the architecture",
              absl::StrCat("make a graph of the class: ", ExportCommand(x),
                           "; or write a plugin (docs/plugin-authoring.md)"),
              python);
}

Finding Implementation(Inspection& x) {
  absl::StatusOr<ModelChoice> choice = x.plugins->FindModel(x.query);
  if (!choice.ok()) {
    return Fail(choice.status(),
                absl::StrCat("write a plugin (docs/plugin-authoring.md), or: ", ExportCommand(x)));
  }
  std::vector<std::string> steps;
  for (const ImplStep& step : choice->steps)
    steps.push_back(absl::StrCat(ImplSourceName(step.source), " ", step.outcome));
  x.choice = *std::move(choice);
  return Pass(absl::StrCat(ImplWord(x.choice->source), " (", x.choice->reason, ")"),
              std::move(steps));
}

Finding PluginLoads(Inspection& x) {
  auto plugin = LoadChoice(*x.choice, *x.trust);
  if (!plugin.ok()) {
    return Fail(plugin.status(),
                "rebuild it against this host's header, or trust it (docs/security.md)");
  }
  x.plugin = *std::move(plugin);
  std::vector<std::string> details = {x.choice->plugin.path};
  if (x.plugin != nullptr) details.push_back(absl::StrCat("sha256 ", x.plugin->sha256()));
  return Pass(DescribeChoice(*x.choice, *x.trust), std::move(details));
}

Finding Graph(Inspection& x) {
  absl::StatusOr<RecordedModel> recorded = ReadOrRecord(x);
  if (!recorded.ok()) {
    return Fail(recorded.status(),
                Mend(x, "mend config.json where the message names a key, else the plugin"));
  }
  x.graph = std::move(recorded->graph);
  x.config_keys = std::move(recorded->config_keys);
  const auto pooling = PoolingOf(x.options.engine.pooling, *x.checkpoint, x.graph);
  if (!pooling.ok()) return Fail(pooling.status(), "see --runner, --convert and --pooler-config");
  if (pooling->has_value() && !(*pooling)->uses_head) RemoveFunction("pool", x.graph);
  AddHostFunctions(pooling->has_value(), &x.graph);
  const proto::ModelSpec& spec = x.graph.spec();
  int64_t nodes = 0;
  for (const proto::Function& function : x.graph.functions()) nodes += function.nodes_size();
  return Pass(absl::StrCat(Count(spec.num_layers(), "layer"), ", hidden size ", spec.hidden_size(),
                           ", vocabulary ", spec.vocab_size(), ", ",
                           Count(x.graph.declarations_size(), "object"), ", ",
                           Count(nodes, "node")));
}

Finding Served(Inspection& x) {
  absl::Status status = CheckServed(x.graph);
  if (status.ok()) {
    const PluginKernels kernels = x.plugin == nullptr ? PluginKernels() : KernelsOf(x.plugin);
    status = CheckKernels(x.graph, kernels, NumericsOf(x.options.engine.executor));
  }
  if (!status.ok()) return Fail(status, "docs/abi.md lists what this host does not run yet");
  return Pass("all ops and inputs");
}

Finding ConfigKeys(Inspection& x) {
  if (x.plugin == nullptr) return Pass("not known of a graph that came without code");
  std::vector<std::string> unknown;
  FindUnknownKeys(x.config.get_object(), "", x.config_keys, &unknown);
  if (unknown.empty()) return Pass("yes");
  return Warn(absl::StrCat(Count(static_cast<int64_t>(unknown.size()), "key"),
                           " that neither the plugin nor the host reads"),
              "see whether the model's mathematics depend on them", FirstLines(unknown));
}

Finding Dtype(Inspection& x) {
  const auto dtype = ChooseDtype(x.options.engine.model, *x.checkpoint);
  if (!dtype.ok()) return Fail(dtype.status(), "choose with --dtype");
  x.dtype = dtype->dtype;
  std::map<std::string, int64_t> stored;
  for (const std::string& name : x.checkpoint->names()) {
    const auto tensor = x.checkpoint->Find(name);
    if (tensor.ok()) ++stored[std::string(TorchName((*tensor)->dtype))];
  }
  std::vector<std::string> details;
  for (const auto& [type, count] : stored) {
    details.push_back(absl::StrCat(Count(count, "tensor"), " of ", type,
                                   type == TorchName(x.dtype) ? "" : ", converted at load"));
  }
  return Pass(absl::StrCat(TorchName(x.dtype), " (", dtype->reason, ")"), std::move(details));
}

Finding GraphBinding(Inspection& x) {
  if (!IsGraphFile(x)) return Pass("no graph file serves it");
  const PluginRef& ref = x.choice->plugin;
  if (absl::Status status = CheckBinding(x.graph, ref, *x.checkpoint); !status.ok())
    return Fail(status, Mend(x, ""));
  const proto::Provenance& from = x.graph.provenance();
  return Pass(absl::StrCat("sha256 ", from.config_sha256()),
              {DescribeChoice(*x.choice, *x.trust, x.graph.plugin())});
}

}  // namespace keel::clauses
