// Names to plugins: which of the found files serves a model, an attention implementation, a
// processor. Nothing is loaded here.
#ifndef KEEL_CORE_PLUGIN_CATALOG_H_
#define KEEL_CORE_PLUGIN_CATALOG_H_

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
  kAuto,    // --plugin-path, else in-tree, else the checkpoint's own: its graph, or trusted code
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

// What discovery found, by what it provides. Where several places provide a name, --plugin-path comes
// before in-tree before the checkpoint; two plugins of one place are an error, kFailedPrecondition.
class PluginCatalog {
 public:
  PluginCatalog(FoundPlugins found, RemoteCodePolicy::Mode remote_code)
      : found_(std::move(found)), remote_code_(remote_code) {}

  const FoundPlugins& found() const { return found_; }

  // The plugin for a model. kNotFound says what was looked for and where, which files were skipped
  // and why, and the nearest names there are.
  absl::StatusOr<ModelChoice> FindModel(const ModelQuery& query) const;
  // The plugin with an attention implementation, a value of _attn_implementation; null: none has it.
  absl::StatusOr<const PluginRef*> FindAttention(absl::string_view name) const;
  // The plugin with a processor, a value of processor_class; null: none has it, and the host's
  // default serves.
  absl::StatusOr<const PluginRef*> FindProcessor(absl::string_view name) const;

  // All names, sorted.
  std::vector<std::string> Architectures() const;
  std::vector<std::string> AttentionNames() const;

 private:
  // Who did not ask for a checkpoint's code gets its data.
  bool IsForGraphsOnly(const ModelQuery& query, PluginOrigin origin) const;
  absl::Status NotFound(const ModelQuery& query) const;

  const FoundPlugins found_;
  const RemoteCodePolicy::Mode remote_code_;
};

// The class that FindModel promised, in the loaded plugin.
absl::StatusOr<const keel_model_class*> FindModelClass(const Plugin& plugin,
                                                       const ModelChoice& choice);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_CATALOG_H_
