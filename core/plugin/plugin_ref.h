// A plugin file that was found but not run: where it lies, who brought it, what it provides.
#ifndef KEEL_CORE_PLUGIN_PLUGIN_REF_H_
#define KEEL_CORE_PLUGIN_PLUGIN_REF_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/plugin/note.h"

namespace keel {

// Who chose the file; decides what it takes to run it.
enum class PluginOrigin {
  kPluginPath,  // the operator, by --plugin-path
  kGraphDir,    // the operator, by --graph-dir: graph files alone
  kInTree,      // Keel's own installation
  kCheckpoint,  // whoever wrote the checkpoint
};

// "--plugin-path", "--graph-dir", "in-tree", "the checkpoint".
absl::string_view PluginOriginName(PluginOrigin origin);

enum class PluginKind {
  kLibrary,  // code
  kGraph,    // data: a recorded model (core/graph/graph_file.h)
};

struct PluginRef {
  std::string path;  // absolute, no links in it
  std::string name;  // "libllama.so", for messages
  PluginOrigin origin = PluginOrigin::kPluginPath;
  PluginNote note;  // of a graph: what the checkpoint's manifest says, else what config.json names
  std::string sha256;  // what the checkpoint's manifest says, hex; else ""
  PluginKind kind = PluginKind::kLibrary;
};

// "plugin libfoo.so", "graph file foo.graph": begins what is said of it.
std::string LabelOf(const PluginRef& ref);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_PLUGIN_REF_H_
