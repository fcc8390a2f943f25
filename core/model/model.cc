#include "core/model/model.h"

#include <algorithm>
#include <future>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/attention/choose.h"
#include "core/attention/registry.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/checkpoint/locate.h"
#include "core/config/known_keys.h"
#include "core/graph/record_model.h"
#include "core/model/cache_size.h"
#include "core/model/remote_graph.h"
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

// What the recording of a model left: its graph, and the plugin where it is still needed.
struct Recorded {
  std::shared_ptr<Plugin> plugin;  // null: the graph came without code (remote_graph.h)
  RecordedModel model;
  const keel_model_class* model_class = nullptr;
  std::string description;
};

absl::StatusOr<ModelQuery> QueryOf(const boost::json::value& config, ModelImpl impl) {
  ModelQuery query;
  KEEL_ASSIGN_OR_RETURN(auto architectures, FindJson<std::vector<std::string>>(
                                                config, "/architectures", "config.json"));
  KEEL_ASSIGN_OR_RETURN(auto model_type,
                        FindJson<std::string>(config, "/model_type", "config.json"));
  query.impl = impl;
  query.architectures = std::move(architectures).value_or(std::vector<std::string>());
  query.model_type = std::move(model_type).value_or("");
  return query;
}

absl::StatusOr<PluginCatalog> Discover(const ModelOptions& options, const std::string& dir,
                                       bool prefer_code) {
  PluginSearch search;
  for (const std::string& path : options.plugin_paths)
    search.plugin_paths.push_back(JoinPath(options.base_dir, path));
  search.in_tree_dirs = InTreePluginDirs();
  search.checkpoint_dir = dir;
  search.prefer_code = prefer_code;
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins(search));
  return PluginCatalog(std::move(found), options.remote_code.mode);
}

absl::StatusOr<PluginTrust> OpenTrust(const ModelOptions& options) {
  RemoteCodePolicy policy = options.remote_code;
  if (!policy.trust_file.empty()) policy.trust_file = JoinPath(options.base_dir, policy.trust_file);
  return PluginTrust::Open(policy);
}

absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const PluginRef& ref, const PluginTrust& trust) {
  KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, trust.Authorize(ref));
  return Loader().Load(std::move(image));
}

PluginCall CallInto(const std::shared_ptr<Plugin>& plugin) {
  return [raw = plugin.get()](absl::string_view what, absl::FunctionRef<keel_status()> call) {
    return raw->Call(what, call);
  };
}

PluginKernels KernelsOf(const std::shared_ptr<Plugin>& plugin) {
  return {plugin->classes().kernels, plugin->self(), CallInto(plugin)};
}

// Refuses a checkpoint whose processor a plugin brings: without it media would be dropped without a
// word.
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

// The type of weights and activations that the checkpoint asks for.
absl::StatusOr<DType> DtypeOf(const Checkpoint& checkpoint) {
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

// A model's files, and whose code serves it: what is known before anything is recorded or loaded.
struct Source {
  std::shared_ptr<const Checkpoint> checkpoint;
  PluginCatalog plugins;
  PluginTrust trust;
  ModelChoice choice;
  DType dtype = DType::kF32;
};

bool IsFull(const ModelOptions& options) {
  return options.remote_code.mode == RemoteCodePolicy::Mode::kFull;
}

// `prefer_code`: of a checkpoint that brings a graph and a library, the library.
absl::StatusOr<Source> FindSource(const ModelOptions& options, const std::string& dir,
                                  bool prefer_code) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> opened = Checkpoint::Open(dir);
  if (!opened.ok()) return WithFile(opened.status(), dir);
  std::shared_ptr<const Checkpoint> checkpoint = *std::move(opened);
  KEEL_RETURN_IF_ERROR(CheckKnownKeys(checkpoint->config(), "config.json"));
  KEEL_ASSIGN_OR_RETURN(PluginCatalog plugins, Discover(options, dir, prefer_code));
  KEEL_RETURN_IF_ERROR(CheckProcessor(*checkpoint, plugins));
  KEEL_ASSIGN_OR_RETURN(const ModelQuery query, QueryOf(checkpoint->config(), options.impl));
  KEEL_ASSIGN_OR_RETURN(ModelChoice choice, plugins.FindModel(query));
  KEEL_ASSIGN_OR_RETURN(PluginTrust trust, OpenTrust(options));
  DType dtype;
  if (options.dtype.has_value()) {
    dtype = *options.dtype;
  } else {
    KEEL_ASSIGN_OR_RETURN(dtype, DtypeOf(*checkpoint));
  }
  return Source{std::move(checkpoint), std::move(plugins), std::move(trust), std::move(choice),
                dtype};
}

std::string Describe(const PluginRef& ref, absl::string_view how = "") {
  return absl::StrCat(ref.note.id, " ", ref.note.version, " (", ref.name, ", ",
                      PluginOriginName(ref.origin), how, ")");
}

absl::StatusOr<Recorded> Record(const Source& source) {
  Recorded out;
  const PluginRef& chosen = source.choice.plugin;
  if (chosen.kind == PluginKind::kGraph) {
    out.description = Describe(chosen, ", data");
    KEEL_ASSIGN_OR_RETURN(out.model.graph,
                          ReadRemoteGraph(source.trust, chosen, *source.checkpoint));
    return out;
  }
  if (source.trust.IsForJail(chosen)) {
    out.description = Describe(chosen, ", jailed");
    KEEL_ASSIGN_OR_RETURN(out.model.graph,
                          RecordRemoteGraph(source.trust, source.choice, *source.checkpoint));
    return out;
  }
  KEEL_ASSIGN_OR_RETURN(out.plugin, LoadPlugin(chosen, source.trust));
  KEEL_ASSIGN_OR_RETURN(out.model_class, FindModelClass(*out.plugin, source.choice));
  const PluginRef& ref = out.plugin->ref();
  out.description = Describe(ref);
  ModelSource recorded;
  recorded.model_class = out.model_class;
  recorded.plugin = out.plugin->self();
  recorded.plugin_name = absl::StrCat(ref.note.id, " ", ref.note.version);
  recorded.call = CallInto(out.plugin);
  recorded.kernels = KernelsOf(out.plugin);
  KEEL_ASSIGN_OR_RETURN(out.model,
                        RecordModel(recorded, source.checkpoint->config(), "config.json"));
  return out;
}

// What the model needs beyond its own life. Members go in reverse order: the model's object before
// the plugins.
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
                               const PluginCatalog& catalog, const PluginTrust& trust, Kept& kept) {
  if (recorded.plugin != nullptr)
    KEEL_RETURN_IF_ERROR(RegisterClasses(recorded.plugin, kept.attention));
  const proto::Graph& graph = recorded.model.graph;
  std::vector<std::string> names = {options.config_attention, graph.spec().attn_implementation()};
  std::set<std::string> flags;
  KEEL_ASSIGN_OR_RETURN(const auto flag, ParseAttentionFlag(options.attention));
  for (const AttentionOfPart& said : flag) {
    names.push_back(said.name);
    flags.insert(said.name);
  }
  for (const proto::Declaration& d : graph.declarations()) names.push_back(d.attention().impl());
  for (const std::string& name : names) {
    if (name.empty() || kept.attention.Contains(name)) continue;
    KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, catalog.FindAttention(name));
    if (ref == nullptr) {
      if (flags.contains(name)) return NoAttention(name, catalog);
      continue;  // whether that is an error is for ChooseAttention to say
    }
    KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin, LoadPlugin(*ref, trust));
    KEEL_RETURN_IF_ERROR(RegisterClasses(plugin, kept.attention));
    kept.plugins.push_back(std::move(plugin));
  }
  return absl::OkStatus();
}

// What needs a plugin's code in this process, where there is none.
absl::Status CheckNeedsNoCode(ExecMode mode, const Recorded& recorded) {
  if (recorded.plugin != nullptr) return absl::OkStatus();
  if (mode != ExecMode::kGraph) {
    return WithFlag(absl::FailedPreconditionError(absl::StrCat(
                        "--exec=", ExecModeName(mode), " runs a plugin's code op by op, and ",
                        recorded.description, " has none in this process; use --exec=graph")),
                    "exec");
  }
  for (const proto::Declaration& d : recorded.model.graph.declarations()) {
    if (!d.has_kernel()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        recorded.description, ": ", d.name(), " is kernel ", d.kernel().kernel(),
        ", code that runs in this process; if you trust it, --trust-remote-code=full"));
  }
  return absl::OkStatus();
}

// "paged, org.example.flash".
std::string Joined(const std::vector<AttentionInUse>& uses, std::string AttentionInUse::*field) {
  return absl::StrJoin(uses, ", ", [field](std::string* out, const AttentionInUse& use) {
    out->append(use.*field);
  });
}

std::vector<int32_t> EosTokens(const Model& model) {
  std::set<int32_t> ids(model.generation.eos_token_ids.begin(),
                        model.generation.eos_token_ids.end());
  if (const auto eos = model.text.tokenizer->eos_id()) ids.insert(*eos);
  return {ids.begin(), ids.end()};
}

// Sets what the model may keep, and allocates it.
absl::Status AllocateCache(const EngineOptions& options, int64_t max_positions, Model& model) {
  KEEL_ASSIGN_OR_RETURN(const CacheSize size,
                        SizeCache(options.cache, options.scheduler, model.executor->cache_layout(),
                                  max_positions, model.warnings));
  model.max_model_len = size.max_len;
  model.kv_cache_bytes = size.bytes;
  model.blocks.block_size = options.cache.block_size;
  // What a prefix left in a state is not kept.
  model.blocks.prefix_caching = options.cache.enable_prefix_caching && size.num_state_slots == 0;
  model.blocks.groups = size.groups;
  model.blocks.num_state_slots = size.num_state_slots;
  std::vector<int32_t> num_blocks;
  for (const CacheGroup& group : size.groups) num_blocks.push_back(group.num_blocks);
  return model.executor->AllocateCache(num_blocks, size.num_state_slots);
}

absl::StatusOr<Model> Load(const EngineOptions& options, const std::string& dir) {
  const auto progress = [&](absl::string_view stage, int64_t done, int64_t total) {
    if (options.model.on_progress) options.model.on_progress(stage, done, total);
  };
  progress("reading configs", 0, 0);
  KEEL_ASSIGN_OR_RETURN(const Source source, FindSource(options.model, dir, IsFull(options.model)));
  // The tokenizer is tried in a child meanwhile: as slow as the rest of loading.
  std::future<absl::StatusOr<Text>> text =
      std::async(std::launch::async, [dir] { return LoadText(dir); });
  KEEL_ASSIGN_OR_RETURN(Recorded recorded, Record(source));
  KEEL_RETURN_IF_ERROR(CheckNeedsNoCode(options.executor.mode, recorded));
  proto::Graph& graph = recorded.model.graph;
  const proto::ModelSpec spec = graph.spec();
  auto kept = std::make_shared<Kept>();
  ExecutorOptions exec = options.executor;
  KEEL_ASSIGN_OR_RETURN(
      const auto configured,
      FindJson<std::string>(source.checkpoint->config(), "/_attn_implementation", "config.json"));
  exec.config_attention = configured.value_or("");
  KEEL_RETURN_IF_ERROR(RegisterAttention(exec, recorded, source.plugins, source.trust, *kept));
  exec.dtype = source.dtype;
  exec.block_size = options.cache.block_size;
  if (recorded.plugin != nullptr) {
    exec.live = {recorded.model_class, recorded.model.model.get(), CallInto(recorded.plugin)};
    exec.kernels = KernelsOf(recorded.plugin);
  }
  exec.on_load_bytes = [&](int64_t done, int64_t total) {
    progress("loading weights", done, total);
  };

  Model model;
  model.name = options.model.name;
  model.dir = dir;
  model.architecture = spec.architecture();
  model.plugin = recorded.description;
  model.dtype = exec.dtype;
  model.vocab_size = spec.vocab_size();
  model.checkpoint = source.checkpoint;
  model.generation = source.checkpoint->generation_config();
  model.prompt_rope = PromptRopeOf(graph);
  KEEL_ASSIGN_OR_RETURN(
      model.executor, Executor::Create(std::move(graph), model.checkpoint, kept->attention, exec));
  const LoadReport& report = model.executor->report();
  model.attention = Joined(report.attention, &AttentionInUse::name);
  model.attention_reason = Joined(report.attention, &AttentionInUse::reason);
  model.warnings = report.warnings;

  if (exec.mode == ExecMode::kGraph) {
    // The graph is all that is needed: the plugin's code goes, unless it works on the data too.
    recorded.model.model.reset();
    if (recorded.plugin != nullptr) KEEL_RETURN_IF_ERROR(Loader().UnloadIfUnused(recorded.plugin));
  }
  kept->model = std::move(recorded.model.model);
  if (recorded.plugin != nullptr) kept->plugins.push_back(std::move(recorded.plugin));
  model.keep_alive = std::move(kept);

  progress("loading tokenizer", 0, 0);
  KEEL_ASSIGN_OR_RETURN(model.text, text.get());
  model.text.content_format = options.model.content_format;
  model.eos_token_ids = EosTokens(model);
  KEEL_RETURN_IF_ERROR(AllocateCache(options, spec.max_positions(), model));
  return model;
}

absl::StatusOr<proto::Graph> RecordFor(const ModelOptions& options, const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(const Source source, FindSource(options, dir, /*prefer_code=*/true));
  KEEL_ASSIGN_OR_RETURN(Recorded recorded, Record(source));
  const std::string sha256 = recorded.plugin != nullptr
                                 ? recorded.plugin->sha256()
                                 : recorded.model.graph.provenance().plugin_sha256();
  recorded.model.model.reset();  // before the plugin
  KEEL_ASSIGN_OR_RETURN(*recorded.model.graph.mutable_provenance(),
                        ProvenanceOf(*source.checkpoint, sha256));
  return std::move(recorded.model.graph);
}

absl::StatusOr<int64_t> SumWeights(const ModelOptions& options, const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(const Source source, FindSource(options, dir, IsFull(options)));
  int64_t bytes = 0;
  for (const std::string& name : source.checkpoint->names()) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* tensor, source.checkpoint->Find(name));
    bytes += IsFloatingPoint(tensor->dtype)
                 ? tensor->elements() * static_cast<int64_t>(BytesOf(source.dtype))
                 : static_cast<int64_t>(tensor->bytes);
  }
  return bytes;
}

absl::StatusOr<std::string> Locate(const ModelOptions& options) {
  if (options.name.empty()) {
    return WithFlag(absl::InvalidArgumentError("--model is not set: name a checkpoint's directory "
                                               "or a Hugging Face id"),
                    "model");
  }
  const absl::StatusOr<ModelLocation> location = LocateModel(options.name, options.base_dir);
  if (!location.ok()) return WithFlag(location.status(), "model");
  return location->dir;
}

// What says which file or which flag says enough.
absl::Status WithModel(const absl::Status& status, const std::string& name) {
  const bool is_clear = !DetailOf(status, ErrorDetail::kFile).empty() ||
                        !DetailOf(status, ErrorDetail::kFlag).empty();
  return is_clear ? status : Annotate(status, absl::StrCat("model '", name, "'"));
}

}  // namespace

absl::StatusOr<Model> LoadModel(const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, Locate(options.model));
  absl::StatusOr<Model> model = Load(options, dir);
  return model.ok() ? std::move(model) : WithModel(model.status(), options.model.name);
}

absl::StatusOr<proto::Graph> RecordGraphOf(const ModelOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, Locate(options));
  absl::StatusOr<proto::Graph> graph = RecordFor(options, dir);
  return graph.ok() ? std::move(graph) : WithModel(graph.status(), options.name);
}

absl::StatusOr<int64_t> WeightBytesOf(const ModelOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, Locate(options));
  const absl::StatusOr<int64_t> bytes = SumWeights(options, dir);
  return bytes.ok() ? bytes : WithModel(bytes.status(), options.name);
}

}  // namespace keel
