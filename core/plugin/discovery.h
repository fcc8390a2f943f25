// Finds plugin files and reads their notes. Runs none of them, and looks nowhere but in the places
// that are named here: never in the working directory, never along LD_LIBRARY_PATH.
#ifndef KEEL_CORE_PLUGIN_DISCOVERY_H_
#define KEEL_CORE_PLUGIN_DISCOVERY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/plugin/found_plugins.h"

namespace keel {

struct PluginSearch {
  // --plugin-path: files, and directories of *.so.
  std::vector<std::string> plugin_paths = {};
  // Directories of *.so, or of directories of *.so (plugins/llama/libllama.so).
  std::vector<std::string> in_tree_dirs = {};
  // --graph-dir, where the operator keeps graph files (core/plugin/graph_files.h); "" for none.
  std::string graph_dir = "";
  // May bring a plugin of its own (core/plugin/manifest.h) or a graph file; "" for none.
  std::string checkpoint_dir = "";
  // Of a checkpoint that brings a graph and a library, the library.
  bool prefer_code = false;
};

// Errors: a --plugin-path that is missing or, if it names a file, no plugin (the reason); a
// --graph-dir that is no directory; a manifest of the checkpoint that can't be read. Whatever else
// is wrong with a file in a directory goes to `skipped`. A file that is found twice counts once,
// where it was found first.
absl::StatusOr<FoundPlugins> DiscoverPlugins(const PluginSearch& search);

// Where the plugins of this installation are: $KEEL_PLUGIN_DIR (directories separated by ':') if it
// is set; else the first that exists of
//   keel/plugins in the runfiles that Bazel made for the program or for libkeel.so
//   <directory of the program or of libkeel.so>/plugins
//   <that directory>/../lib/keel/plugins
// A program that runs with more rights than its user (AT_SECURE) reads no environment.
std::vector<std::string> InTreePluginDirs();

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_DISCOVERY_H_
