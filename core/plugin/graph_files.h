// Graph files that no manifest names: what `keel export-transformers` leaves beside a checkpoint, or in
// a directory of the operator's.
#ifndef KEEL_CORE_PLUGIN_GRAPH_FILES_H_
#define KEEL_CORE_PLUGIN_GRAPH_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "core/plugin/found_plugins.h"

namespace keel {

inline constexpr char kGraphFileName[] = "keel-graph.pb";

// The graph file of `graph_dir` for the checkpoint in `checkpoint_dir`:
//   <graph_dir>/<sha256 of config.json>.pb   one directory for the graphs of many models
//   <graph_dir>/keel-graph.pb                if that one is not there
// It is said to serve what config.json names; whether it was made for these bytes of config.json, its
// reader finds out. Nothing is added if there is none, or no config.json that parses. kNotFound:
// `graph_dir` is no directory.
absl::Status AddGraphDir(const std::string& graph_dir, const std::string& checkpoint_dir,
                         FoundPlugins& found);

// The same of <checkpoint_dir>/keel-graph.pb. A link that leads out of the checkpoint goes to
// `skipped`.
void AddGraphBesideCheckpoint(const std::string& checkpoint_dir, FoundPlugins& found);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_GRAPH_FILES_H_
