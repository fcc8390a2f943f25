// From a plugin's model class and a config.json to a verified graph: config, create, forward (and
// logits, pool, encode). After this the plugin's code is needed no more, unless it brings kernels.
#ifndef KEEL_CORE_GRAPH_RECORD_MODEL_H_
#define KEEL_CORE_GRAPH_RECORD_MODEL_H_

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"
#include "core/graph/plugin_kernels.h"
#include "sdk/abi/plugin.h"

namespace keel {

class ConfigDocument;
class Recorder;

// The class to record and how to call it.
struct ModelSource {
  const keel_model_class* model_class = nullptr;
  void* plugin = nullptr;   // its `self`
  std::string plugin_name;  // "org.keel.llama 0.1.0", for messages and the graph
  // Makes one call into the plugin and gives its status with the message it set (Plugin::Call). Empty: as it is.
  std::function<absl::Status(absl::string_view what, absl::FunctionRef<keel_status()> call)> call;
  PluginKernels kernels = {};  // of the same plugin
  // For who tries a plugin on other hosts than this one (core/conformance). Empty: this host's own.
  std::function<std::unique_ptr<Recorder>(const proto::Graph&, std::string function)> make_recorder;
  const keel_build_api* build_api = nullptr;
};

// A model object of the plugin; destroyed with this.
using ModelHandle = std::unique_ptr<void, std::function<void(void*)>>;

struct RecordedModel {
  proto::Graph graph;
  ModelHandle model;                              // for eager runs; reset it to let the plugin go
  const keel_model_class* model_class = nullptr;  // with `model`
  std::set<std::string> config_keys = {};         // that the plugin asked for (config_view.h)
};

// `config` is config.json, an object; `where` names it in errors. A second model is made, and every
// function recorded again of both; where two differ, the model depends on something other than the
// config and is refused.
absl::StatusOr<RecordedModel> RecordModel(const ModelSource& source,
                                          const boost::json::value& config,
                                          const std::string& where);

// ---- The steps of RecordModel, for who looks at each by itself -----------------------------------

// Calls config.
absl::StatusOr<proto::ModelSpec> RecordSpec(const ModelSource& source, ConfigDocument& document);
// Calls create: the graph has the spec and declarations, and no functions. `document` is over
// `config`.
absl::StatusOr<RecordedModel> RecordDeclarations(const ModelSource& source,
                                                 ConfigDocument& document,
                                                 const boost::json::object& config,
                                                 const std::string& where,
                                                 const proto::ModelSpec& spec);
// Calls forward, and logits, pool, encode where there are any. Not verified yet.
absl::StatusOr<std::vector<proto::Function>> RecordFunctions(const ModelSource& source,
                                                             const RecordedModel& declared);
// The graph with these functions, as a graph file would hold it; not verified yet.
proto::Graph WithFunctions(proto::Graph declared, std::vector<proto::Function> functions);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_RECORD_MODEL_H_
