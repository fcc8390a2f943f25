// Maps authorized plugins into this process, each once.
#ifndef KEEL_CORE_PLUGIN_LOADER_H_
#define KEEL_CORE_PLUGIN_LOADER_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/plugin/host.h"
#include "core/plugin/plugin.h"
#include "core/plugin/trust.h"

namespace keel {

// Thread-safe.
class PluginLoader {
 public:
  // `interfaces` must outlive the loader and its plugins. `log` empty: LogPluginToStderr.
  explicit PluginLoader(const HostInterfaces* interfaces, PluginLog log = nullptr)
      : interfaces_(interfaces), log_(std::move(log)) {}

  // Maps the very bytes that were authorized, checks the descriptor, runs init, checks every class,
  // and that the note told the truth. The same bytes (by sha256) are loaded once: a second Load
  // returns the plugin that is there. Errors name the file; nothing stays loaded after one.
  absl::StatusOr<std::shared_ptr<Plugin>> Load(AuthorizedImage image);

  // Unmaps the plugin if `plugin` is its only owner and its code need not stay. Two models that are loaded at once share
  // a plugin: no Load can hand it out meanwhile.
  absl::Status UnloadIfUnused(const std::shared_ptr<Plugin>& plugin);

 private:
  const HostInterfaces* const interfaces_;
  const PluginLog log_;
  absl::Mutex mutex_;
  std::map<std::string, std::weak_ptr<Plugin>> plugins_ ABSL_GUARDED_BY(mutex_);  // by sha256
};

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_LOADER_H_
