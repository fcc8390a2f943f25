// Names to plugins: which file serves a model, an attention implementation, a processor. Built from
// what discovery found; nothing is loaded here.
#ifndef KEEL_CORE_PLUGIN_REGISTRY_H_
#define KEEL_CORE_PLUGIN_REGISTRY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/plugin/discovery.h"
#include "core/plugin/plugin.h"
#include "core/plugin/trust.h"

namespace keel {

// --model-impl: where a model may come from.
enum class ModelImpl {
  kAuto,    // --plugin-path, else in-tree, else the checkpoint's own if it is trusted
  kNative,  // in-tree only
  kPlugin,  // --plugin-path, else the checkpoint's own
};

// Parses auto, native, plugin, and transformers, which means plugin.
absl::StatusOr<ModelImpl> ParseModelImpl(absl::string_view text);
// "auto", "native", "plugin".
const char* ModelImplName(ModelImpl impl);

// What config.json asks for.
struct ModelQuery {
  std::vector<std::string> architectures = {};
  std::string model_type = "";  // counts only if there are no architectures
  ModelImpl impl = ModelImpl::kAuto;
};

struct ModelChoice {
  PluginRef plugin;
  std::string architecture;  // the one that matched, or "" if model_type did
  std::string model_type;
};

class ModelRegistry {
 public:
  ModelRegistry(FoundPlugins found, RemoteCodePolicy::Mode remote_code)
      : found_(std::move(found)), remote_code_(remote_code) {}

  const FoundPlugins& found() const { return found_; }

  // The plugin for a model. Errors: kNotFound says what was looked for and where, which files were
  // skipped and why, and the nearest names there are; kFailedPrecondition if two plugins of one
  // place serve the model.
  absl::StatusOr<ModelChoice> Resolve(const ModelQuery& query) const;

  // All names, sorted.
  std::vector<std::string> Architectures() const;

 private:
  absl::Status NotFound(const ModelQuery& query) const;

  const FoundPlugins found_;
  const RemoteCodePolicy::Mode remote_code_;
};

// The class that Resolve promised, in the loaded plugin.
absl::StatusOr<const keel_model_class*> FindModelClass(const Plugin& plugin,
                                                       const ModelChoice& choice);

// An attention implementation: the host's own (`plugin` is null) or a plugin's.
struct AttentionProvider {
  std::string name;
  const PluginRef* plugin = nullptr;  // of the FoundPlugins that the registry was made from
};

// Attention implementations by name; core/attention/choose.h picks one.
class AttentionNames {
 public:
  // `host_names`: the host's own, its default first. `found` must outlive the registry.
  AttentionNames(std::vector<std::string> host_names, const FoundPlugins& found)
      : host_names_(std::move(host_names)), found_(found) {}

  // kNotFound lists the names there are.
  absl::StatusOr<AttentionProvider> Find(absl::string_view name) const;

  std::vector<std::string> Names() const;

 private:
  const std::vector<std::string> host_names_;
  const FoundPlugins& found_;
};

// Processors by the name that processor_config.json calls processor_class.
class ProcessorRegistry {
 public:
  // `found` must outlive the registry.
  explicit ProcessorRegistry(const FoundPlugins& found) : found_(found) {}

  // The plugin that has the processor; null if none has, and the host's default serves.
  absl::StatusOr<const PluginRef*> Find(absl::string_view name) const;

 private:
  const FoundPlugins& found_;
};

// Of `names`, those that resemble `name` (at most `limit`, nearest first).
std::vector<std::string> NearestNames(absl::string_view name, const std::vector<std::string>& names,
                                      size_t limit);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_REGISTRY_H_
