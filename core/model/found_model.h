// What is known of a model before any weight is read: its files, whose code serves it, and what that
// code records. LoadModel takes these steps in one go, core/check one by one.
#ifndef KEEL_CORE_MODEL_FOUND_MODEL_H_
#define KEEL_CORE_MODEL_FOUND_MODEL_H_

#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/attention/registry.h"
#include "core/base/plugin_call.h"
#include "core/checkpoint/checkpoint.h"
#include "core/exec/options.h"
#include "core/graph/plugin_kernels.h"
#include "core/graph/record_model.h"
#include "core/model/options.h"
#include "core/plugin/catalog.h"
#include "core/plugin/loader.h"
#include "core/plugin/trust.h"
#include "core/tensor/dtype.h"
#include "core/weights/quantization.h"

namespace keel {

// The directory of --model. Errors name the flag.
absl::StatusOr<std::string> FindModelDir(const ModelOptions& options);

// What to take of a checkpoint that brings a graph and a library.
enum class Prefer { kGraph, kLibrary };
// As --trust-remote-code says.
Prefer PreferenceOf(const ModelOptions& options);

// The plugins that the model in `dir` may use.
absl::StatusOr<PluginCatalog> FindPlugins(const ModelOptions& options, const std::string& dir,
                                          Prefer prefer);

// With the trust file that the options name.
absl::StatusOr<PluginTrust> OpenTrust(const ModelOptions& options);

// What `config` (config.json of `dir`) asks for.
absl::StatusOr<ModelQuery> QueryOf(const boost::json::value& config, ModelImpl impl,
                                   const std::string& dir);

// The plugin's processor that a checkpoint names, by processor_class; empty if no plugin brings it. The model's own plugin,
// if it has one of that name, comes before others: it knows what its encoders take.
struct NamedProcessor {
  std::string name;
  std::string file;  // "processor_config.json"
  const PluginRef* plugin = nullptr;
};
absl::StatusOr<NamedProcessor> FindProcessor(const Checkpoint& checkpoint,
                                             const PluginCatalog& catalog,
                                             const PluginRef& of_model);
// Whether it is code of the checkpoint that the policy does not let run, in a jail either.
bool NeedsTrust(const NamedProcessor& processor, const RemoteCodePolicy& policy);

// The type of weights and activations, and who said so.
struct DtypeChoice {
  DType dtype = DType::kF32;
  std::string reason;  // "config.json: torch_dtype"
};
absl::StatusOr<DtypeChoice> ChooseDtype(const ModelOptions& options, const Checkpoint& checkpoint);

// Files and choice together; the refusals of all of the above.
struct FoundModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  PluginCatalog plugins;
  PluginTrust trust;
  ModelChoice choice;
  DType dtype = DType::kF32;
};
absl::StatusOr<FoundModel> FindModel(const ModelOptions& options, const std::string& dir,
                                     Prefer prefer);

// Bytes that its weights take in `dtype`, its matrices quantized. An estimate by the tensors' shapes, as nothing says yet
// which of them linears apply: a few that would not be quantized are small; embeddings that are not the head, too, are
// counted as they lie in the checkpoint. Reads headers.
absl::StatusOr<int64_t> WeightBytes(const Checkpoint& checkpoint, DType dtype,
                                    Quantization quantization);

// The process's loader.
PluginLoader& Loader();
absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const PluginRef& ref, const PluginTrust& trust);
// How the plugin's functions are called.
PluginCall CallInto(const std::shared_ptr<Plugin>& plugin);
PluginKernels KernelsOf(const std::shared_ptr<Plugin>& plugin);

// The plugin of `choice` in this process; null where its graph comes without code: from a file, or
// from a jail (remote_graph.h).
absl::StatusOr<std::shared_ptr<Plugin>> LoadChoice(const ModelChoice& choice,
                                                   const PluginTrust& trust);
// "org.keel.llama 0.1.0 (libllama.so, in-tree)", "... (new.graph, the checkpoint, data)". A graph file
// that no manifest names has what it says itself, Graph.plugin: "transformers 5.23.0 (keel-graph.pb,
// the checkpoint, data)".
std::string DescribeChoice(const ModelChoice& choice, const PluginTrust& trust,
                           absl::string_view graph_of = "");
// The model that `choice` names: recorded from `plugin`, which LoadChoice gave, or without code.
absl::StatusOr<RecordedModel> RecordChoice(const std::shared_ptr<Plugin>& plugin,
                                           const ModelChoice& choice, const PluginTrust& trust,
                                           const Checkpoint& checkpoint);

// What a model needs beyond its own life. Members go in reverse order: the model's object before the
// plugins.
struct KeptPlugins {
  std::vector<std::shared_ptr<Plugin>> plugins;
  AttentionRegistry attention;
  ModelHandle model;
};

// The attention classes of the model's own plugin (may be null) join `kept`, and those of plugins that have a name
// which the flag, config.json or the model says.
absl::Status RegisterAttention(const ExecutorOptions& options,
                               const std::shared_ptr<Plugin>& plugin, const proto::Graph& graph,
                               const PluginCatalog& catalog, const PluginTrust& trust,
                               KeptPlugins& kept);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_FOUND_MODEL_H_
