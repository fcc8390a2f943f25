#include "core/model/model.h"

#include <algorithm>
#include <cstdio>
#include <future>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/graph/stages.h"
#include "core/model/cache_size.h"
#include "core/model/found_model.h"
#include "core/model/remote_graph.h"
#include "core/model/step_memory.h"
#include "core/processor/jailed_processor.h"
#include "core/processor/loaded_processor.h"
#include "core/weights/weight_cache.h"

namespace keel {
namespace {

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

// Tokens of a text; 0: not said.
int64_t MaxPositions(const proto::ModelSpec& spec, const Model& model) {
  const int64_t said = model.pooling.has_value() ? model.pooling->max_tokens : 0;
  if (said == 0) return spec.max_positions();
  return spec.max_positions() == 0 ? said : std::min(said, spec.max_positions());
}

std::string WeightCacheDir(const ModelOptions& options) {
  if (!options.weight_cache.has_value()) return WeightCache::DefaultDir();
  return options.weight_cache->empty() ? "" : JoinPath(options.base_dir, *options.weight_cache);
}

// Sets what the model may keep, and allocates it.
absl::Status AllocateCache(const EngineOptions& options, int64_t max_positions, Model& model) {
  KEEL_ASSIGN_OR_RETURN(const CacheSize size,
                        SizeCache(options.cache, options.scheduler, model.executor->cache_layout(),
                                  max_positions, model.warnings));
  model.max_model_len = size.max_len;
  model.max_step_tokens = options.scheduler.max_num_batched_tokens;
  model.kv_cache_bytes = size.bytes;
  model.blocks.block_size = options.cache.block_size;
  // What a prefix left in a state is not kept.
  model.blocks.prefix_caching = options.cache.enable_prefix_caching && size.num_state_slots == 0 &&
                                !(model.pooling.has_value() && model.pooling->is_whole);
  model.blocks.groups = size.groups;
  model.blocks.num_state_slots = size.num_state_slots;
  std::vector<int32_t> num_blocks;
  for (const CacheGroup& group : size.groups) num_blocks.push_back(group.num_blocks);
  return model.executor->AllocateCache(num_blocks, size.num_state_slots);
}

// What needs a plugin's code in this process, where there is none.
absl::Status CheckNeedsNoCode(ExecMode mode, const proto::Graph& graph,
                              const std::string& description) {
  if (RunsPlugin(mode)) {
    return WithFlag(absl::FailedPreconditionError(absl::StrCat(
                        "--exec=", ExecModeName(mode), " runs a plugin's code op by op, and ",
                        description, " has none in this process; use --exec=compiled")),
                    "exec");
  }
  for (const proto::Declaration& d : graph.declarations()) {
    if (!d.has_kernel()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        description, ": ", d.name(), " is kernel ", d.kernel().kernel(),
        ", code that runs in this process; if you trust it, --trust-remote-code=full"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const ProcessorCalls>> OpenProcessor(const NamedProcessor& named,
                                                                    const FoundModel& found,
                                                                    const Text& text) {
  if (found.trust.IsForJail(*named.plugin)) {
    KEEL_ASSIGN_OR_RETURN(JailedImage image, found.trust.AuthorizeJailed(*named.plugin));
    return JailedProcessor::Create(std::move(image), named.name, found.checkpoint, text.tokenizer);
  }
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin, LoadPlugin(*named.plugin, found.trust));
  return LoadedProcessor::Create(std::move(plugin), named.name, found.checkpoint, text.tokenizer);
}

// The processor that the checkpoint names; null: no plugin brings it, or it names none. What keeps one from running is an
// error, but for code of the checkpoint that nobody allowed: its graph is served without.
absl::StatusOr<std::shared_ptr<const Processor>> LoadProcessor(const FoundModel& found,
                                                               const ModelOptions& options,
                                                               const Text& text,
                                                               std::vector<std::string>& warnings) {
  KEEL_ASSIGN_OR_RETURN(const NamedProcessor named,
                        FindProcessor(*found.checkpoint, found.plugins, found.choice.plugin));
  if (named.plugin == nullptr) return std::shared_ptr<const Processor>();
  if (NeedsTrust(named, options.remote_code)) {
    warnings.push_back(absl::StrCat(named.file, ": processor_class is '", named.name, "' of ",
                                    named.plugin->name,
                                    ", which comes with the checkpoint and is not run unasked: "
                                    "media are refused; if they are needed, --trust-remote-code"));
    return std::shared_ptr<const Processor>();
  }
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<const ProcessorCalls> calls,
                        OpenProcessor(named, found, text));
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<Processor> processor,
                        Processor::Create(named.name, std::move(calls), text.tokenizer));
  return std::shared_ptr<const Processor>(std::move(processor));
}

// How items are put together for one call of an encoder is a promise: each item's features are its own. What is not
// trusted might break it to show one user's picture to another, so its items go alone.
absl::Status KeepItemsApartUnlessTrusted(const FoundModel& found, bool graph_is_trusted,
                                         proto::Graph& graph) {
  KEEL_ASSIGN_OR_RETURN(const NamedProcessor named,
                        FindProcessor(*found.checkpoint, found.plugins, found.choice.plugin));
  const bool processor_is_trusted =
      named.plugin == nullptr || !found.trust.IsForJail(*named.plugin);
  if (graph_is_trusted && processor_is_trusted) return absl::OkStatus();
  for (proto::ModelSpec::Input& input : *graph.mutable_spec()->mutable_inputs()) {
    input.clear_merge();
    input.clear_index_symbol();
    input.clear_index_multiple();
  }
  return absl::OkStatus();
}

// Modalities that a graph encodes.
std::set<std::string> EncodersOf(const proto::Graph& graph) {
  std::set<std::string> out;
  for (const proto::Function& function : graph.functions()) {
    absl::string_view modality = function.name();
    if (absl::ConsumePrefix(&modality, "encode/")) out.emplace(modality);
  }
  return out;
}

bool TakesGroups(const proto::Graph& graph) {
  const auto& inputs = FindFunction(graph, "forward")->inputs();
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const auto& input) { return input.name() == "groups"; });
}

// All chat templates, one after the other: any may show what the model writes.
std::string SourcesOf(const Text& text) {
  std::string sources;
  if (text.chat_template == nullptr) return sources;
  for (const std::string& name : text.chat_template->names())
    absl::StrAppend(&sources, *text.chat_template->Source(name), "\n");
  return sources;
}

absl::StatusOr<Model> Load(const EngineOptions& options, const std::string& dir) {
  const auto progress = [&](absl::string_view stage, int64_t done, int64_t total) {
    if (options.model.on_progress) options.model.on_progress(stage, done, total);
  };
  progress("reading configs", 0, 0);
  KEEL_ASSIGN_OR_RETURN(const FoundModel found,
                        FindModel(options.model, dir, PreferenceOf(options.model)));
  // The tokenizer is tried in a child meanwhile: as slow as the rest of loading.
  std::future<absl::StatusOr<Text>> text =
      std::async(std::launch::async, [dir, chat_template = options.model.FindChatTemplate()] {
        return LoadText(dir, chat_template);
      });
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin, LoadChoice(found.choice, found.trust));
  KEEL_ASSIGN_OR_RETURN(RecordedModel recorded,
                        RecordChoice(plugin, found.choice, found.trust, *found.checkpoint));
  if (plugin == nullptr) {
    KEEL_RETURN_IF_ERROR(
        CheckNeedsNoCode(options.executor.mode, recorded.graph,
                         DescribeChoice(found.choice, found.trust, recorded.graph.plugin())));
  }
  const proto::ModelSpec spec = recorded.graph.spec();
  auto kept = std::make_shared<KeptPlugins>();
  ExecutorOptions exec = options.executor;
  KEEL_ASSIGN_OR_RETURN(
      const auto configured,
      FindJson<std::string>(found.checkpoint->config(), "/_attn_implementation", "config.json"));
  exec.config_attention = configured.value_or("");
  KEEL_RETURN_IF_ERROR(
      RegisterAttention(exec, plugin, recorded.graph, found.plugins, found.trust, *kept));
  exec.dtype = found.dtype;
  exec.block_size = options.cache.block_size;
  if (plugin != nullptr) {
    exec.live = {recorded.model_class, recorded.model.get(), CallInto(plugin)};
    exec.kernels = KernelsOf(plugin);
  }
  exec.weight_cache = WeightCacheDir(options.model);
  exec.on_load_bytes = [&](int64_t done, int64_t total) {
    progress("loading weights", done, total);
  };
  exec.on_pack_bytes = [&](int64_t done, int64_t total) {
    progress("packing weights", done, total);
  };

  KEEL_ASSIGN_OR_RETURN(const int64_t step_bytes,
                        StepBytes(recorded.graph, options.scheduler.max_num_batched_tokens));

  Model model;
  model.name = options.model.name;
  model.dir = dir;
  model.architecture = spec.architecture();
  model.plugin = DescribeChoice(found.choice, found.trust, recorded.graph.plugin());
  model.impl = std::string(ImplWord(found.choice.source));
  model.impl_source = std::string(ImplSourceName(found.choice.source));
  model.impl_reason = found.choice.reason;
  model.dtype = exec.dtype;
  model.kv_dtype = exec.kv_dtype.value_or(exec.dtype);
  model.vocab_size = spec.vocab_size();
  model.checkpoint = found.checkpoint;
  model.generation = found.checkpoint->generation_config();
  model.prompt_rope = PromptRopeOf(recorded.graph);
  KEEL_ASSIGN_OR_RETURN(model.pooling,
                        PoolingOf(options.pooling, *found.checkpoint, recorded.graph));
  model.encoders = EncodersOf(recorded.graph);
  model.takes_groups = TakesGroups(recorded.graph);
  KEEL_RETURN_IF_ERROR(
      KeepItemsApartUnlessTrusted(found, /*graph_is_trusted=*/plugin != nullptr, recorded.graph));
  exec.pooling = model.pooling.has_value();
  if (exec.pooling && !model.pooling->uses_head) RemoveFunction("pool", recorded.graph);
  KEEL_ASSIGN_OR_RETURN(model.executor, Executor::Create(std::move(recorded.graph),
                                                         model.checkpoint, kept->attention, exec));
  const LoadReport& report = model.executor->report();
  for (const std::string& graph : report.graphs) std::fprintf(stderr, "%s\n", graph.c_str());
  model.attention = Joined(report.attention, &AttentionInUse::name);
  model.attention_reason = Joined(report.attention, &AttentionInUse::reason);
  model.warnings = report.warnings;
  model.quantization = exec.quantization;
  model.weights = report.weights;
  model.packed_bytes = report.packed_bytes;
  model.packed_from_cache = report.packed_from_cache;

  if (!RunsPlugin(exec.mode)) {
    // The graph is all that is needed: the plugin's code goes, unless it works on the data too.
    recorded.model.reset();
    if (plugin != nullptr) KEEL_RETURN_IF_ERROR(Loader().UnloadIfUnused(plugin));
  }
  kept->model = std::move(recorded.model);
  if (plugin != nullptr) kept->plugins.push_back(std::move(plugin));
  model.keep_alive = std::move(kept);

  progress("loading tokenizer", 0, 0);
  KEEL_ASSIGN_OR_RETURN(model.text, text.get());
  KEEL_ASSIGN_OR_RETURN(model.processor,
                        LoadProcessor(found, options.model, model.text, model.warnings));
  model.text.content_format = options.model.content_format;
  KEEL_ASSIGN_OR_RETURN(model.parsers, ChooseParsers(options.model.parsers, SourcesOf(model.text)));
  model.eos_token_ids = EosTokens(model);
  KEEL_RETURN_IF_ERROR(AllocateCache(options, MaxPositions(spec, model), model));
  KEEL_RETURN_IF_ERROR(
      CheckStepMemory(step_bytes, options.scheduler.max_num_batched_tokens, AvailableMemory()));
  return model;
}

absl::StatusOr<proto::Graph> RecordFor(const ModelOptions& options, const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(const FoundModel found, FindModel(options, dir, Prefer::kLibrary));
  KEEL_ASSIGN_OR_RETURN(const std::shared_ptr<Plugin> plugin,
                        LoadChoice(found.choice, found.trust));
  KEEL_ASSIGN_OR_RETURN(RecordedModel recorded,
                        RecordChoice(plugin, found.choice, found.trust, *found.checkpoint));
  const std::string sha256 =
      plugin != nullptr ? plugin->sha256() : recorded.graph.provenance().plugin_sha256();
  KEEL_ASSIGN_OR_RETURN(*recorded.graph.mutable_provenance(),
                        ProvenanceOf(*found.checkpoint, sha256));
  return std::move(recorded.graph);
}

// What says which file or which flag says enough.
absl::Status WithModel(const absl::Status& status, const std::string& name) {
  const bool is_clear = !DetailOf(status, ErrorDetail::kFile).empty() ||
                        !DetailOf(status, ErrorDetail::kFlag).empty();
  return is_clear ? status : Annotate(status, absl::StrCat("model '", name, "'"));
}

}  // namespace

absl::StatusOr<Model> LoadModel(const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, FindModelDir(options.model));
  absl::StatusOr<Model> model = Load(options, dir);
  return model.ok() ? std::move(model) : WithModel(model.status(), options.model.name);
}

absl::StatusOr<proto::Graph> RecordGraphOf(const ModelOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, FindModelDir(options));
  absl::StatusOr<proto::Graph> graph = RecordFor(options, dir);
  return graph.ok() ? std::move(graph) : WithModel(graph.status(), options.name);
}

absl::StatusOr<int64_t> WeightBytesOf(const ModelOptions& options, Quantization quantization) {
  KEEL_ASSIGN_OR_RETURN(const std::string dir, FindModelDir(options));
  const absl::StatusOr<int64_t> bytes = [&]() -> absl::StatusOr<int64_t> {
    KEEL_ASSIGN_OR_RETURN(const FoundModel found, FindModel(options, dir, PreferenceOf(options)));
    return WeightBytes(*found.checkpoint, found.dtype, quantization);
  }();
  return bytes.ok() ? bytes : WithModel(bytes.status(), options.name);
}

}  // namespace keel
