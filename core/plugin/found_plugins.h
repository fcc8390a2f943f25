// What a search for plugins found: those that may be asked for a model, and the files that are none.
#ifndef KEEL_CORE_PLUGIN_FOUND_PLUGINS_H_
#define KEEL_CORE_PLUGIN_FOUND_PLUGINS_H_

#include <string>
#include <vector>

#include "core/plugin/plugin_ref.h"

namespace keel {

struct FoundPlugins {
  std::vector<PluginRef> plugins;  // in the order of PluginSearch, by path within a directory
  // Files that are no plugins of this host, with the reason: "plugin libfoo.so: needs ABI 0.7 ...".
  std::vector<std::string> skipped;
  std::vector<std::string> in_tree_dirs;  // those that were searched, for messages
};

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_FOUND_PLUGINS_H_
