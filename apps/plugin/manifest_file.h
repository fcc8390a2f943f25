// keel_plugin.json, written: a graph among the artifacts of a checkpoint.
#ifndef KEEL_APPS_PLUGIN_MANIFEST_FILE_H_
#define KEEL_APPS_PLUGIN_MANIFEST_FILE_H_

#include <string>

#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Names `graph_file` in keel_plugin.json beside it, whose path is given back. `exported` is what
// keel_plugin_export_graph said. A manifest that is there keeps everything but its other graphs;
// without one a new one is made.
Result<std::string> AddToManifest(const std::string& graph_file,
                                  const boost::json::object& exported);

}  // namespace keel::apps

#endif  // KEEL_APPS_PLUGIN_MANIFEST_FILE_H_
