// A model's graph without its plugin's code in this process: read from a file that the checkpoint
// brings, or recorded in a jail. Either way it was verified here.
#ifndef KEEL_CORE_MODEL_REMOTE_GRAPH_H_
#define KEEL_CORE_MODEL_REMOTE_GRAPH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/plugin/catalog.h"
#include "core/plugin/trust.h"

namespace keel {

// The graph file `ref`, parsed in a jail and verified. Whether it is this checkpoint's is for
// CheckBinding to say.
absl::StatusOr<proto::Graph> ReadRemoteGraph(const PluginTrust& trust, const PluginRef& ref);

// kFailedPrecondition if `graph`, of the file `ref`, is of another config.json: a graph holds for the
// bytes of the one that it was made from.
absl::Status CheckBinding(const proto::Graph& graph, const PluginRef& ref,
                          const Checkpoint& checkpoint);

// The command that makes the graph file `ref` anew for the checkpoint in `dir`.
std::string ExportAgain(const PluginRef& ref, const std::string& dir);

// What the library `choice.plugin` records in a jail.
absl::StatusOr<proto::Graph> RecordRemoteGraph(const PluginTrust& trust, const ModelChoice& choice,
                                               const Checkpoint& checkpoint);

// What binds a graph to the checkpoint that it was recorded for, and says from which library.
absl::StatusOr<proto::Provenance> ProvenanceOf(const Checkpoint& checkpoint,
                                               const std::string& plugin_sha256);

}  // namespace keel

#endif  // KEEL_CORE_MODEL_REMOTE_GRAPH_H_
