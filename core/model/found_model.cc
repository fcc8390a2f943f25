#include "core/model/found_model.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/attention/choose.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/checkpoint/locate.h"
#include "core/config/known_keys.h"
#include "core/graph/errors.h"
#include "core/kernels/packed_linear.h"
#include "core/model/remote_graph.h"
#include "core/plugin/discovery.h"
#include "core/plugin/interfaces.h"
#include "core/weights/quantized_format.h"

namespace keel {
namespace {

// What the checkpoint asks for.
absl::StatusOr<DtypeChoice> CheckpointDtype(const Checkpoint& checkpoint) {
  const boost::json::value& config = checkpoint.config();
  for (const absl::string_view key :
       {"/dtype", "/torch_dtype", "/text_config/dtype", "/text_config/torch_dtype"}) {
    KEEL_ASSIGN_OR_RETURN(const auto name, FindJson<std::string>(config, key, "config.json"));
    if (!name.has_value()) continue;
    const auto dtype = DTypeFromName(*name);
    if (dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16) {
      return DtypeChoice{
          *dtype, absl::StrCat("config.json: ", absl::StrReplaceAll(key.substr(1), {{"/", "."}}))};
    }
    return absl::UnimplementedError(
        absl::StrCat("config.json: dtype is '", *name,
                     "', expected bfloat16, float16 or float32; choose with --dtype"));
  }
  for (const std::string& name : checkpoint.names()) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* tensor, checkpoint.Find(name));
    if (IsFloatingPoint(tensor->dtype) && BytesOf(tensor->dtype) >= 2)
      return DtypeChoice{tensor->dtype, absl::StrCat("the type of ", name)};
  }
  return DtypeChoice{DType::kF32, "no tensor has a floating-point type"};
}

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

// Tokens that config.json says there are; 0: it does not.
absl::StatusOr<int64_t> VocabularyOf(const Checkpoint& checkpoint) {
  for (const char* key : {"/vocab_size", "/text_config/vocab_size"}) {
    KEEL_ASSIGN_OR_RETURN(const std::optional<int64_t> size,
                          FindJson<int64_t>(checkpoint.config(), key, "config.json"));
    if (size.has_value()) return *size;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::string> FindModelDir(const ModelOptions& options) {
  if (options.name.empty()) {
    return WithFlag(absl::InvalidArgumentError("--model is not set: name a checkpoint's directory "
                                               "or a Hugging Face id"),
                    "model");
  }
  const absl::StatusOr<ModelLocation> location = LocateModel(options.name, options.base_dir);
  if (!location.ok()) return WithFlag(location.status(), "model");
  return location->dir;
}

Prefer PreferenceOf(const ModelOptions& options) {
  const bool wants_code = options.remote_code.mode == RemoteCodePolicy::Mode::kFull &&
                          options.impl != ModelImpl::kTransformers;
  return wants_code ? Prefer::kLibrary : Prefer::kGraph;
}

absl::StatusOr<PluginCatalog> FindPlugins(const ModelOptions& options, const std::string& dir,
                                          Prefer prefer) {
  PluginSearch search;
  for (const std::string& path : options.plugin_paths)
    search.plugin_paths.push_back(JoinPath(options.base_dir, path));
  search.in_tree_dirs = InTreePluginDirs();
  if (!options.graph_dir.empty()) search.graph_dir = JoinPath(options.base_dir, options.graph_dir);
  search.checkpoint_dir = dir;
  search.prefer_code = prefer == Prefer::kLibrary;
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins(search));
  return PluginCatalog(std::move(found), options.remote_code.mode);
}

absl::StatusOr<PluginTrust> OpenTrust(const ModelOptions& options) {
  RemoteCodePolicy policy = options.remote_code;
  if (!policy.trust_file.empty()) policy.trust_file = JoinPath(options.base_dir, policy.trust_file);
  return PluginTrust::Open(policy);
}

absl::StatusOr<ModelQuery> QueryOf(const boost::json::value& config, ModelImpl impl,
                                   const std::string& dir) {
  ModelQuery query;
  KEEL_ASSIGN_OR_RETURN(auto architectures, FindJson<std::vector<std::string>>(
                                                config, "/architectures", "config.json"));
  KEEL_ASSIGN_OR_RETURN(auto model_type,
                        FindJson<std::string>(config, "/model_type", "config.json"));
  query.impl = impl;
  query.dir = dir;
  query.architectures = std::move(architectures).value_or(std::vector<std::string>());
  query.model_type = std::move(model_type).value_or("");
  return query;
}

absl::StatusOr<NamedProcessor> FindProcessor(const Checkpoint& checkpoint,
                                             const PluginCatalog& catalog,
                                             const PluginRef& of_model) {
  const std::vector<std::string>& own = of_model.note.processors;
  for (const char* file :
       {"processor_config.json", "preprocessor_config.json", "tokenizer_config.json"}) {
    KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text, checkpoint.ReadText(file));
    if (!text.has_value()) continue;
    KEEL_ASSIGN_OR_RETURN(const boost::json::value config, ParseJson(*text, file));
    KEEL_ASSIGN_OR_RETURN(const auto name, FindJson<std::string>(config, "/processor_class", file));
    if (!name.has_value()) continue;
    if (std::find(own.begin(), own.end(), *name) != own.end())
      return NamedProcessor{*name, file, &of_model};
    KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, catalog.FindProcessor(*name));
    if (ref != nullptr) return NamedProcessor{*name, file, ref};
  }
  return NamedProcessor();
}

bool NeedsTrust(const NamedProcessor& processor, const RemoteCodePolicy& policy) {
  return processor.plugin->origin == PluginOrigin::kCheckpoint &&
         policy.mode == RemoteCodePolicy::Mode::kNone;
}

absl::StatusOr<DtypeChoice> ChooseDtype(const ModelOptions& options, const Checkpoint& checkpoint) {
  if (options.dtype.has_value()) return DtypeChoice{*options.dtype, "--dtype"};
  return CheckpointDtype(checkpoint);
}

absl::StatusOr<FoundModel> FindModel(const ModelOptions& options, const std::string& dir,
                                     Prefer prefer) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> opened = Checkpoint::Open(dir);
  if (!opened.ok()) return WithFile(opened.status(), dir);
  std::shared_ptr<const Checkpoint> checkpoint = *std::move(opened);
  KEEL_RETURN_IF_ERROR(CheckKnownKeys(checkpoint->config(), "config.json"));
  KEEL_ASSIGN_OR_RETURN(PluginCatalog plugins, FindPlugins(options, dir, prefer));
  KEEL_ASSIGN_OR_RETURN(const ModelQuery query, QueryOf(checkpoint->config(), options.impl, dir));
  KEEL_ASSIGN_OR_RETURN(ModelChoice choice, plugins.FindModel(query));
  KEEL_ASSIGN_OR_RETURN(PluginTrust trust, OpenTrust(options));
  KEEL_ASSIGN_OR_RETURN(const DtypeChoice dtype, ChooseDtype(options, *checkpoint));
  return FoundModel{std::move(checkpoint), std::move(plugins), std::move(trust), std::move(choice),
                    dtype.dtype};
}

absl::StatusOr<int64_t> WeightBytes(const Checkpoint& checkpoint, DType dtype,
                                    Quantization quantization) {
  KEEL_ASSIGN_OR_RETURN(const int64_t vocab, VocabularyOf(checkpoint));
  const PackedFormat format = QuantizedFormat(quantization, dtype),
                     head = HeadFormat(quantization, dtype);
  int64_t bytes = 0, looked_up = 0, tables = 0;
  for (const std::string& name : checkpoint.names()) {
    KEEL_ASSIGN_OR_RETURN(const TensorView* tensor, checkpoint.Find(name));
    const std::vector<int64_t>& shape = tensor->shape;
    const int64_t plain = tensor->elements() * static_cast<int64_t>(BytesOf(dtype));
    if (!IsFloatingPoint(tensor->dtype)) {
      bytes += static_cast<int64_t>(tensor->bytes);
    } else if (shape.size() < 2 || shape.back() == 0) {
      bytes += plain;
    } else {
      const int64_t k = shape.back();
      const bool is_table = shape.size() == 2 && shape[0] == vocab;
      const int64_t packed =
          tensor->elements() / k * PanelBytes(is_table ? head : format, k) / kPanel;
      bytes += packed;
      if (is_table && ++tables == 1) looked_up = plain - packed;
    }
  }
  // One table by token is the head, tied to embeddings that are looked up; of two, one is looked up alone.
  return tables > 1 ? bytes + looked_up : bytes;
}

PluginLoader& Loader() {
  static auto* loader = new PluginLoader(&Interfaces());
  return *loader;
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

absl::StatusOr<std::shared_ptr<Plugin>> LoadChoice(const ModelChoice& choice,
                                                   const PluginTrust& trust) {
  const PluginRef& ref = choice.plugin;
  if (ref.kind == PluginKind::kGraph || trust.IsForJail(ref)) return std::shared_ptr<Plugin>();
  return LoadPlugin(ref, trust);
}

std::string DescribeChoice(const ModelChoice& choice, const PluginTrust& trust,
                           absl::string_view graph_of) {
  const PluginRef& ref = choice.plugin;
  const bool is_data = ref.kind == PluginKind::kGraph;
  const absl::string_view how = is_data ? ", data" : trust.IsForJail(ref) ? ", jailed" : "";
  std::string what = absl::StrCat(ref.note.id, " ", ref.note.version);
  if (ref.note.id.empty()) what = graph_of.empty() ? "a graph" : absl::CHexEscape(Shown(graph_of));
  return absl::StrCat(what, " (", ref.name, ", ", PluginOriginName(ref.origin), how, ")");
}

absl::StatusOr<RecordedModel> RecordChoice(const std::shared_ptr<Plugin>& plugin,
                                           const ModelChoice& choice, const PluginTrust& trust,
                                           const Checkpoint& checkpoint) {
  if (plugin == nullptr) {
    RecordedModel out;
    const bool is_data = choice.plugin.kind == PluginKind::kGraph;
    if (is_data) {
      KEEL_ASSIGN_OR_RETURN(out.graph, ReadRemoteGraph(trust, choice.plugin));
      KEEL_RETURN_IF_ERROR(CheckBinding(out.graph, choice.plugin, checkpoint));
    } else {
      KEEL_ASSIGN_OR_RETURN(out.graph, RecordRemoteGraph(trust, choice, checkpoint));
    }
    return out;
  }
  ModelSource source;
  KEEL_ASSIGN_OR_RETURN(source.model_class, FindModelClass(*plugin, choice));
  source.plugin = plugin->self();
  source.plugin_name = absl::StrCat(plugin->ref().note.id, " ", plugin->ref().note.version);
  source.call = CallInto(plugin);
  source.kernels = KernelsOf(plugin);
  return RecordModel(source, checkpoint.config(), "config.json");
}

absl::Status RegisterAttention(const ExecutorOptions& options,
                               const std::shared_ptr<Plugin>& plugin, const proto::Graph& graph,
                               const PluginCatalog& catalog, const PluginTrust& trust,
                               KeptPlugins& kept) {
  if (plugin != nullptr) KEEL_RETURN_IF_ERROR(RegisterClasses(plugin, kept.attention));
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
    KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> loaded, LoadPlugin(*ref, trust));
    KEEL_RETURN_IF_ERROR(RegisterClasses(loaded, kept.attention));
    kept.plugins.push_back(std::move(loaded));
  }
  return absl::OkStatus();
}

}  // namespace keel
