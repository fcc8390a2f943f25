// Names to plugins: which of the found files serves a model, an attention implementation, a
// processor. Nothing is loaded here.
#ifndef KEEL_CORE_PLUGIN_CATALOG_H_
#define KEEL_CORE_PLUGIN_CATALOG_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/plugin/discovery.h"
#include "core/plugin/plugin.h"
#include "core/plugin/trust.h"

namespace keel {

// --model-impl: which implementations may be taken.
enum class ModelImpl {
  kAuto,          // the first of ImplSource that serves the model
  kNative,        // in-tree only
  kPlugin,        // from outside: --plugin-path, else the checkpoint's own graph or library
  kTransformers,  // a graph file, as one is exported from the Python class
};

// Where an implementation may come from, in the order in which kAuto looks.
enum class ImplSource {
  kPluginPath,  // a library that the operator named
  kInTree,      // this installation's family
  kGraphFile,  // a graph that is bound to this config, of --graph-dir, else of the checkpoint: data,
               // which needs no trust
  kCheckpoint,  // the checkpoint's own library, where --trust-remote-code allows it
};
inline constexpr ImplSource kImplSources[] = {ImplSource::kPluginPath, ImplSource::kInTree,
                                              ImplSource::kGraphFile, ImplSource::kCheckpoint};

// Parses auto, native, plugin, transformers.
absl::StatusOr<ModelImpl> ParseModelImpl(absl::string_view text);
// "auto", "native", "plugin", "transformers".
const char* ModelImplName(ModelImpl impl);
// "--plugin-path", "in-tree", "a graph file", "the checkpoint".
absl::string_view ImplSourceName(ImplSource source);
// In a word what runs then: "native", "plugin" or "graph".
absl::string_view ImplWord(ImplSource source);

// What config.json asks for.
struct ModelQuery {
  std::vector<std::string> architectures = {};
  std::string model_type = "";  // counts only if there are no architectures
  ModelImpl impl = ModelImpl::kAuto;
  std::string dir = "";  // of the checkpoint, for messages
};

// A source that was looked at or left out, and what came of it: "serves FooForCausalLM by
// libfoo.so", "has no plugins", "left out by --model-impl native".
struct ImplStep {
  ImplSource source;
  std::string outcome;
};

// Which implementation runs a model, and why.
struct ModelChoice {
  PluginRef plugin;
  std::string architecture;  // the one that matched, or "" if model_type did
  std::string model_type;
  ImplSource source = ImplSource::kInTree;
  std::vector<ImplStep> steps;  // one for each of kImplSources

  // "auto: in-tree serves LlamaForCausalLM by libllama.so; before it, --plugin-path has no plugins".
  std::string reason;
};

// What discovery found, by what it provides. Where several places provide a name, --plugin-path comes
// before in-tree before the checkpoint, and --graph-dir's graphs before the checkpoint's; two plugins of one place are an error, kFailedPrecondition.
class PluginCatalog {
 public:
  PluginCatalog(FoundPlugins found, RemoteCodePolicy::Mode remote_code)
      : found_(std::move(found)), remote_code_(remote_code) {}

  const FoundPlugins& found() const { return found_; }

  // The implementation of a model. kNotFound says what was looked for and where, which files were
  // skipped and why, the nearest names there are, and the command that would make one.
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
  // Why `query` does not look at `source`; "" if it does.
  std::string LeftOut(ImplSource source, const ModelQuery& query) const;
  // What `source` has for `query`; a choice without steps, or nothing.
  absl::StatusOr<std::optional<ModelChoice>> FindIn(ImplSource source,
                                                    const ModelQuery& query) const;
  std::string DescribePlace(ImplSource source) const;
  absl::Status NotFound(const ModelQuery& query) const;

  const FoundPlugins found_;
  const RemoteCodePolicy::Mode remote_code_;
};

// The class that FindModel promised, in the loaded plugin.
absl::StatusOr<const keel_model_class*> FindModelClass(const Plugin& plugin,
                                                       const ModelChoice& choice);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_CATALOG_H_
