#include "core/plugin/loader.h"

#include <utility>

#include "core/base/status.h"

namespace keel {

absl::StatusOr<std::shared_ptr<Plugin>> PluginLoader::Load(AuthorizedImage image) {
  const absl::MutexLock lock(&mutex_);
  std::weak_ptr<Plugin>& known = plugins_[image.sha256()];
  if (std::shared_ptr<Plugin> plugin = known.lock(); plugin != nullptr && plugin->is_loaded()) {
    return plugin;
  }
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin,
                        Plugin::Open(std::move(image), interfaces_, log_));
  known = plugin;
  return plugin;
}

absl::Status PluginLoader::UnloadIfUnused(const std::shared_ptr<Plugin>& plugin) {
  const absl::MutexLock lock(&mutex_);
  if (plugin.use_count() != 1 || plugin->must_stay_loaded()) return absl::OkStatus();
  return plugin->Unload();
}

}  // namespace keel
