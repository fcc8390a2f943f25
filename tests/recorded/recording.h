// A plugin loaded the way the host does it, and its model recorded for a config.json; and graphs as
// text, the form of the goldens.
#ifndef KEEL_TESTS_RECORDED_RECORDING_H_
#define KEEL_TESTS_RECORDED_RECORDING_H_

#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/graph/record_model.h"
#include "core/plugin/plugin.h"

namespace keel {

struct Recording {
  std::shared_ptr<Plugin> plugin;
  PluginKernels kernels;  // of the plugin
  RecordedModel model;    // destroyed before the plugin
};

// Trust and loader.
absl::StatusOr<std::shared_ptr<Plugin>> OpenPlugin(const PluginRef& ref);

// Discovery, trust, loader, RecordModel. `plugin` is the path of its library, `config` the content
// of a config.json.
absl::StatusOr<Recording> RecordPlugin(const std::string& plugin, const boost::json::value& config);

// The same for dir/config.json.
absl::StatusOr<Recording> RecordDirectory(const std::string& plugin, const std::string& dir);

// The directories with a config.json and its golden: `dir`, or those in it (testdata of a family).
// Sorted; empty if there are none.
std::vector<std::string> RecordedDirectories(const std::string& dir);

// The textproto of a golden. Equal graphs give equal texts.
std::string GraphText(const proto::Graph& graph);
// Errors say line and column within `where`.
absl::StatusOr<proto::Graph> ParseGraphText(absl::string_view text, absl::string_view where);

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_RECORDING_H_
