// Collects what a model declares in create: the host's side of the interface "keel.build/1".
#ifndef KEEL_CORE_GRAPH_DECLARE_H_
#define KEEL_CORE_GRAPH_DECLARE_H_

#include <boost/json/object.hpp>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "core/graph/graph.pb.h"
#include "core/graph/plugin_kernels.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Appends to graph->declarations; object i is declarations[i - 1]. One build, one thread.
class Declarer : public keel_build {
 public:
  // `graph` (with its spec) and `config` are borrowed; `config` is where rope parameters are looked
  // up.
  // `kernels` may be null: then none can be declared.
  Declarer(proto::Graph* graph, const boost::json::object& config, std::string where,
           const PluginKernels* kernels = nullptr);

  // The first declaration that failed, naming the object.
  const absl::Status& status() const { return status_; }

  proto::Graph& graph() { return *graph_; }
  const boost::json::object& config() const { return config_; }
  const std::string& where() const { return where_; }
  const PluginKernels* kernels() const { return kernels_; }

  // Keeps a checked declaration as `name`; 0 when the build has failed or the name is taken.
  keel_object Add(const std::string& name, proto::Declaration declaration);
  keel_object Fail(const std::string& name, const absl::Status& status);
  keel_object Fail(absl::Status status);
  keel_object last() const { return static_cast<keel_object>(graph_->declarations_size()); }

 private:
  proto::Graph* graph_;
  const boost::json::object& config_;
  std::string where_;
  const PluginKernels* kernels_;
  absl::Status status_;
  absl::flat_hash_set<std::string> names_;
};

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_DECLARE_H_
