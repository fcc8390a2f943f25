// From the names of files to what checks work on: a loaded plugin, its models.
#ifndef KEEL_CORE_CONFORMANCE_SUBJECT_H_
#define KEEL_CORE_CONFORMANCE_SUBJECT_H_

#include <boost/json/value.hpp>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/conformance/check.h"
#include "core/graph/record_model.h"
#include "core/plugin/host.h"
#include "core/plugin/plugin.h"

namespace keel::conformance {

// The plugin as a host finds it: file read, inspected, mapped, initialized with `interfaces`, which
// must outlive it. Errors name the requirement that is broken.
absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const Subject& subject,
                                                   const HostInterfaces& interfaces);

// A model class of the plugin with a config that it serves.
struct ModelUnderTest {
  std::shared_ptr<Plugin> plugin;
  ModelSource source;
  boost::json::value config;  // an object
  std::string dir;            // where it came from, "" if that was a file
  std::string where;          // its path
};

// Runs `check` on the model of each config, on a host with `interfaces`; the first finding that is
// no pass, naming the config. Skips without configs, or if the plugin does not load. A config that
// no class serves is skipped too, unless `unserved_fails`.
Finding ForEachModel(const Subject& subject, const HostInterfaces& interfaces,
                     absl::FunctionRef<Finding(ModelUnderTest&)> check,
                     bool unserved_fails = false);
Finding ForEachModel(const Subject& subject, absl::FunctionRef<Finding(ModelUnderTest&)> check);

// A model taken as far as it goes: config, create, forward and the like, the verifier.
struct Stages {
  absl::Status config, create, record, verify;
  RecordedModel model;  // with functions once `record` is OK
  // The first that is not OK.
  const absl::Status& status() const;
};
Stages Record(const ModelUnderTest& model);
// The same with another config than the model's own.
Stages Record(const ModelUnderTest& model, const boost::json::value& config);

// Parts of a graph, equal texts for equal parts: a requirement is about one of them.
std::string DeclarationBytes(const proto::Graph& graph);
std::string FunctionBytes(const proto::Graph& graph);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_SUBJECT_H_
