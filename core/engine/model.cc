#include "core/engine/model.h"

#include <algorithm>
#include <future>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/attention/registry.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/checkpoint/locate.h"
#include "core/engine/cache_size.h"
#include "core/graph/record_model.h"
#include "core/plugin/catalog.h"
#include "core/plugin/discovery.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/loader.h"
#include "core/plugin/trust.h"
#include "core/tensor/dtype.h"

namespace keel {
namespace {

PluginLoader& Loader() {
  static auto* loader = new PluginLoader(&Interfaces());
  return *loader;
}

std::string Absolute(const std::string& path, const std::string& base) {
  return path.empty() || path[0] == '/' || base.empty() ? path : absl::StrCat(base, "/", path);
}

// What the recording of a model left: its graph, and the plugin where it is still needed.
struct Recorded {
  std::shared_ptr<Plugin> plugin;
  RecordedModel model;
  const keel_model_class* model_class = nullptr;
  std::string description;
};

absl::StatusOr<ModelQuery> QueryOf(const boost::json::value& config, const EngineOptions& options) {
  ModelQuery query;
  KEEL_ASSIGN_OR_RETURN(auto architectures, FindJson<std::vector<std::string>>(
                                                config, "/architectures", "config.json"));
  KEEL_ASSIGN_OR_RETURN(auto model_type,
                        FindJson<std::string>(config, "/model_type", "config.json"));
  KEEL_ASSIGN_OR_RETURN(query.impl, ParseModelImpl(options.model_impl));
  query.architectures = std::move(architectures).value_or(std::vector<std::string>());
  query.model_type = std::move(model_type).value_or("");
  return query;
}

absl::StatusOr<PluginCatalog> Discover(const EngineOptions& options, const RemoteCodePolicy& policy,
                                       const std::string& dir) {
  PluginSearch search;
  for (const std::string& path : options.plugin_paths)
    search.plugin_paths.push_back(Absolute(path, options.base_dir));
  search.in_tree_dirs = InTreePluginDirs();
  search.checkpoint_dir = dir;
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins(search));
  return PluginCatalog(std::move(found), policy.mode);
}

absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const PluginRef& ref,
                                                   const RemoteCodePolicy& policy) {
  const PluginTrust trust(policy);
  KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, trust.Authorize(ref));
  return Loader().Load(std::move(image));
}

PluginCall CallInto(const std::shared_ptr<Plugin>& plugin) {
  return [raw = plugin.get()](absl::string_view what, absl::FunctionRef<keel_status()> call) {
    return raw->Call(what, call);
  };
}

// Refuses a checkpoint whose processor a plugin brings: without it media would be dropped without a word.
absl::Status CheckProcessor(const Checkpoint& checkpoint, const PluginCatalog& catalog) {
  for (const char* file :
       {"processor_config.json", "preprocessor_config.json", "tokenizer_config.json"}) {
    KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text, checkpoint.ReadText(file));
    if (!text.has_value()) continue;
    KEEL_ASSIGN_OR_RETURN(const boost::json::value config, ParseJson(*text, file));
    KEEL_ASSIGN_OR_RETURN(const auto name, FindJson<std::string>(config, "/processor_class", file));
    if (!name.has_value()) continue;
    KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, catalog.FindProcessor(*name));
    if (ref == nullptr) continue;
    return absl::UnimplementedError(absl::StrCat(file, ": processor_class is '", *name, "' of ",
                                                 ref->name,
                                                 "; processors are unimplemented in this host"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Recorded> Record(const Checkpoint& checkpoint, const PluginCatalog& catalog,
                                const RemoteCodePolicy& policy, const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const ModelQuery query, QueryOf(checkpoint.config(), options));
  KEEL_ASSIGN_OR_RETURN(const ModelChoice choice, catalog.FindModel(query));
  Recorded out;
  KEEL_ASSIGN_OR_RETURN(out.plugin, LoadPlugin(choice.plugin, policy));
  KEEL_ASSIGN_OR_RETURN(out.model_class, FindModelClass(*out.plugin, choice));
  const PluginRef& ref = out.plugin->ref();
  out.description = absl::StrCat(ref.note.id, " ", ref.note.version, " (", ref.name, ", ",
                                 PluginOriginName(ref.origin), ")");
  ModelSource source;
  source.model_class = out.model_class;
  source.plugin = out.plugin->self();
  source.plugin_name = absl::StrCat(ref.note.id, " ", ref.note.version);
  source.call = CallInto(out.plugin);
  KEEL_ASSIGN_OR_RETURN(out.model, RecordModel(source, checkpoint.config(), "config.json"));
  return out;
}

// What the model needs beyond its own life. Members go in reverse order: the model's object before the plugins.
struct Kept {
  std::vector<std::shared_ptr<Plugin>> plugins;
  AttentionRegistry attention;
  ModelHandle model;
};

absl::Status RegisterClasses(const std::shared_ptr<Plugin>& plugin, AttentionRegistry& registry) {
  for (const keel_attention_class* attention : plugin->classes().attention)
    KEEL_RETURN_IF_ERROR(registry.RegisterPlugin(attention, plugin->self(), CallInto(plugin)));
  return absl::OkStatus();
}

absl::Status NoAttention(const std::string& name, const PluginCatalog& catalog) {
  std::set<std::string> names(std::begin(AttentionRegistry::kHosts),
                              std::end(AttentionRegistry::kHosts));
  for (std::string& of_plugin : catalog.AttentionNames()) names.insert(std::move(of_plugin));
  return absl::NotFoundError(
      absl::StrCat("--attention-implementation: no attention implementation '", name,
                   "'; there are ", absl::StrJoin(names, ", ")));
}

// The attention classes of the model's own plugin join the registry, and those of plugins that have a
// name which the flag, config.json or the model says.
absl::Status RegisterAttention(const ExecutorOptions& options, const Recorded& recorded,
                               const PluginCatalog& catalog, const RemoteCodePolicy& policy,
                               Kept& kept) {
  KEEL_RETURN_IF_ERROR(RegisterClasses(recorded.plugin, kept.attention));
  const proto::Graph& graph = recorded.model.graph;
  std::vector<std::string> names = {options.attention, options.config_attention,
                                    graph.spec().attn_implementation()};
  for (const proto::Declaration& d : graph.declarations()) names.push_back(d.attention().impl());
  for (const std::string& name : names) {
    if (name.empty() || kept.attention.Contains(name)) continue;
    KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, catalog.FindAttention(name));
    if (ref == nullptr) {
      if (name == options.attention) return NoAttention(name, catalog);
      continue;  // whether that is an error is for ChooseAttention to say
    }
    KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin, LoadPlugin(*ref, policy));
    KEEL_RETURN_IF_ERROR(RegisterClasses(plugin, kept.attention));
    kept.plugins.push_back(std::move(plugin));
  }
  return absl::OkStatus();
}

// "paged, org.example.flash".
std::string Joined(const std::vector<AttentionInUse>& uses, std::string AttentionInUse::*field) {
  return absl::StrJoin(uses, ", ", [field](std::string* out, const AttentionInUse& use) {
    out->append(use.*field);
  });
}

absl::StatusOr<DType> ChooseDtype(const EngineOptions& options, const Checkpoint& checkpoint) {
  if (options.dtype != "auto") return *DTypeFromName(options.dtype);
  const boost::json::value& config = checkpoint.config();
  for (const char* key :
       {"/dtype", "/torch_dtype", "/text_config/dtype", "/text_config/torch_dtype"}) {
    KEEL_ASSIGN_OR_RETURN(const auto name, FindJson<std::string>(config, key, "config.json"));
    if (!name.has_value()) continue;
    const auto dtype = DTypeFromName(*name);
    if (dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16) return *dtype;
    return absl::UnimplementedError(
        absl::StrCat("config.json: dtype is '", *name,
                     "', expected bfloat16, float16 or float32; choose with --dtype"));
  }
  for (const std::string& name : checkpoint.names()) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* tensor, checkpoint.Find(name));
    if (IsFloatingPoint(tensor->dtype) && BytesOf(tensor->dtype) >= 2) return tensor->dtype;
  }
  return DType::kF32;
}

std::vector<int32_t> EosTokens(const Model& model) {
  std::set<int32_t> ids(model.generation.eos_token_ids.begin(),
                        model.generation.eos_token_ids.end());
  if (const auto eos = model.text.tokenizer->eos_id()) ids.insert(*eos);
  return {ids.begin(), ids.end()};
}

ExecMode ParseExec(absl::string_view exec) {
  return exec == "eager"    ? ExecMode::kEager
         : exec == "shadow" ? ExecMode::kShadow
                            : ExecMode::kGraph;
}

absl::StatusOr<Model> Load(const EngineOptions& options) {
  const auto progress = [&](absl::string_view stage, int64_t done, int64_t total) {
    if (options.on_progress) options.on_progress(stage, done, total);
  };
  Model model;
  model.name = options.model;
  KEEL_ASSIGN_OR_RETURN(const ModelLocation location, LocateModel(options.model, options.base_dir));
  model.dir = location.dir;
  progress("reading configs", 0, 0);
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(location.dir));
  model.checkpoint = std::move(checkpoint);
  model.generation = model.checkpoint->generation_config();
  // The tokenizer is tried in a child meanwhile: as slow as the rest of loading.
  std::future<absl::StatusOr<Text>> text =
      std::async(std::launch::async, [dir = location.dir] { return LoadText(dir); });

  KEEL_ASSIGN_OR_RETURN(const RemoteCodePolicy policy,
                        ParseTrustRemoteCode(options.trust_remote_code));
  KEEL_ASSIGN_OR_RETURN(const PluginCatalog catalog, Discover(options, policy, location.dir));
  KEEL_RETURN_IF_ERROR(CheckProcessor(*model.checkpoint, catalog));
  KEEL_ASSIGN_OR_RETURN(Recorded recorded, Record(*model.checkpoint, catalog, policy, options));
  proto::Graph& graph = recorded.model.graph;
  model.architecture = graph.spec().architecture();
  model.plugin = recorded.description;
  model.vocab_size = graph.spec().vocab_size();

  auto kept = std::make_shared<Kept>();
  ExecutorOptions exec;
  exec.attention = options.attention_implementation;
  KEEL_ASSIGN_OR_RETURN(
      const auto configured,
      FindJson<std::string>(model.checkpoint->config(), "/_attn_implementation", "config.json"));
  exec.config_attention = configured.value_or("");
  KEEL_RETURN_IF_ERROR(RegisterAttention(exec, recorded, catalog, policy, *kept));
  exec.mode = ParseExec(options.exec);
  KEEL_ASSIGN_OR_RETURN(exec.dtype, ChooseDtype(options, *model.checkpoint));
  exec.block_size = static_cast<int32_t>(options.block_size);
  exec.tensor_parallel = static_cast<int32_t>(options.tensor_parallel_size);
  exec.deterministic = options.deterministic;
  exec.live = {recorded.model_class, recorded.model.model.get(), CallInto(recorded.plugin)};
  exec.on_load_bytes = [&](int64_t done, int64_t total) {
    progress("loading weights", done, total);
  };
  model.dtype = std::string(TorchName(exec.dtype));
  const proto::ModelSpec spec = graph.spec();
  KEEL_ASSIGN_OR_RETURN(
      model.executor, Executor::Create(std::move(graph), model.checkpoint, kept->attention, exec));
  const LoadReport& report = model.executor->report();
  model.attention = Joined(report.attention, &AttentionInUse::name);
  model.attention_reason = Joined(report.attention, &AttentionInUse::reason);
  model.warnings = report.warnings;

  if (exec.mode == ExecMode::kGraph) {
    // The graph is all that is needed: the plugin's code goes, unless it works on the data too.
    recorded.model.model.reset();
    KEEL_RETURN_IF_ERROR(Loader().UnloadIfUnused(recorded.plugin));
  }
  kept->model = std::move(recorded.model.model);
  kept->plugins.push_back(std::move(recorded.plugin));
  model.keep_alive = std::move(kept);

  progress("loading tokenizer", 0, 0);
  KEEL_ASSIGN_OR_RETURN(model.text, text.get());
  KEEL_RETURN_IF_ERROR(SizeCache(options, spec.max_positions(), model));
  model.eos_token_ids = EosTokens(model);
  return model;
}

absl::StatusOr<int64_t> SumWeights(const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const ModelLocation location, LocateModel(options.model, options.base_dir));
  KEEL_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(location.dir));
  KEEL_ASSIGN_OR_RETURN(const RemoteCodePolicy policy,
                        ParseTrustRemoteCode(options.trust_remote_code));
  KEEL_ASSIGN_OR_RETURN(const PluginCatalog catalog, Discover(options, policy, location.dir));
  KEEL_RETURN_IF_ERROR(CheckProcessor(*checkpoint, catalog));
  KEEL_ASSIGN_OR_RETURN(const ModelQuery query, QueryOf(checkpoint->config(), options));
  KEEL_RETURN_IF_ERROR(catalog.FindModel(query).status());
  KEEL_ASSIGN_OR_RETURN(const DType dtype, ChooseDtype(options, *checkpoint));
  int64_t bytes = 0;
  for (const std::string& name : checkpoint->names()) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* tensor, checkpoint->Find(name));
    bytes += IsFloatingPoint(tensor->dtype)
                 ? tensor->elements() * static_cast<int64_t>(BytesOf(dtype))
                 : static_cast<int64_t>(tensor->bytes);
  }
  return bytes;
}

absl::Status CheckNamed(const EngineOptions& options) {
  if (!options.model.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--model is not set: name a checkpoint's directory or a Hugging Face id");
}

// What names a file of the model's or is about a flag says enough.
absl::Status WithModel(const absl::Status& status, const EngineOptions& options) {
  if (absl::StrContains(status.message(), options.model) ||
      absl::StartsWith(status.message(), "--"))
    return status;
  return Annotate(status, absl::StrCat("model '", options.model, "'"));
}

}  // namespace

absl::StatusOr<Model> LoadModel(const EngineOptions& options) {
  KEEL_RETURN_IF_ERROR(CheckNamed(options));
  absl::StatusOr<Model> model = Load(options);
  return model.ok() ? std::move(model) : WithModel(model.status(), options);
}

absl::StatusOr<int64_t> WeightBytesOf(const EngineOptions& options) {
  KEEL_RETURN_IF_ERROR(CheckNamed(options));
  const absl::StatusOr<int64_t> bytes = SumWeights(options);
  return bytes.ok() ? bytes : WithModel(bytes.status(), options);
}

}  // namespace keel
