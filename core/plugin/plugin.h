// A plugin that is loaded and initialized. plugin.cc is the only place in the host that calls the
// dynamic linker.
#ifndef KEEL_CORE_PLUGIN_PLUGIN_H_
#define KEEL_CORE_PLUGIN_PLUGIN_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/plugin/classes.h"
#include "core/plugin/host.h"
#include "core/plugin/plugin_ref.h"
#include "core/plugin/trust.h"
#include "sdk/abi/plugin.h"

namespace keel {

// What is known about a plugin without its code stays after Unload. Pointers into the plugin (its
// classes, the models they made) end with it: who keeps one keeps the shared_ptr too, and the owner
// of a model destroys it before it lets go. Const functions are thread-safe.
class Plugin {
 public:
  ~Plugin();  // unloads
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const PluginRef& ref() const;
  const std::string& name() const { return ref().name; }  // "libllama.so"
  const std::string& sha256() const;

  bool is_loaded() const { return loaded_; }
  const keel_plugin* descriptor() const { return descriptor_; }  // null once unloaded
  void* self() const { return self_; }                       // first argument of class functions
  const PluginClasses& classes() const { return classes_; }  // empty once unloaded
  const keel_model_class* FindModel(absl::string_view architecture) const;  // or null
  const keel_processor_class* FindProcessor(absl::string_view name) const;  // or null

  // Whether its code runs after recording (attention, kernels, processors): it must stay loaded.
  bool must_stay_loaded() const;

  // A call into the plugin; see CallPlugin. `what`: "LlamaForCausalLM.config".
  absl::Status Call(absl::string_view what, absl::FunctionRef<keel_status()> call) const;

  // Shuts the plugin down and unmaps it: no page of it is in the process afterwards. For a plugin
  // whose models are recorded and destroyed. Once; no call into the plugin may be under way on any
  // thread. Errors: kFailedPrecondition if it must stay loaded, kInternal if the dynamic linker
  // kept it mapped.
  absl::Status Unload();

 private:
  friend class PluginLoader;
  struct Library;  // the mapped file, the host struct
  // Errors name the plugin; nothing stays loaded after one.
  static absl::StatusOr<std::shared_ptr<Plugin>> Open(AuthorizedImage image,
                                                      const HostInterfaces* interfaces,
                                                      PluginLog log);
  explicit Plugin(std::unique_ptr<Library> library);

  absl::Status Init();  // descriptor, init, classes, note
  absl::Status Close();

  std::unique_ptr<Library> library_;
  const keel_plugin* descriptor_ = nullptr;
  void* self_ = nullptr;
  bool initialized_ = false;
  bool loaded_ = false;
  bool still_mapped_ = false;  // after Close: the dynamic linker kept it
  PluginClasses classes_;
};

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_PLUGIN_H_
