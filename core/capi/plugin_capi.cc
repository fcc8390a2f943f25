// sdk/abi/engine.h over core/remote's tools for plugins.
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/capi/handles.h"
#include "core/graph/graph_file.h"
#include "core/model/model.h"
#include "core/remote/plugin_tools.h"
#include "sdk/abi/engine.h"

using keel::Guard;

namespace {

absl::Status Answer(const absl::StatusOr<boost::json::object>& answer, keel_bytes_fn sink,
                    void* user) {
  if (!answer.ok()) return answer.status();
  const std::string text = boost::json::serialize(*answer);
  sink(user, text.data(), text.size());
  return absl::OkStatus();
}

absl::StatusOr<boost::json::object> ExportGraph(const keel::ModelOptions& options,
                                                const std::string& file) {
  KEEL_ASSIGN_OR_RETURN(keel::proto::Graph graph, keel::RecordGraphOf(options));
  graph.mutable_provenance()->set_recorded_by(absl::StrCat("keel ", keel_version()));
  const std::string bytes = keel::SerializeGraphFile(graph);
  std::ofstream out(file, std::ios::binary);
  if (!(out << bytes) || !out.flush())
    return absl::PermissionDeniedError(absl::StrCat("cannot write ", file));
  return boost::json::object{
      {"file", file},
      {"sha256", keel::Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()})},
      {"plugin", graph.plugin()},
      {"architecture", graph.spec().architecture()}};
}

}  // namespace

extern "C" {

keel_status keel_plugin_inspect(const char* path, keel_bytes_fn sink, void* user) {
  return Guard({{"path", path}, {"sink", sink}},
               [&] { return Answer(keel::InspectPluginFile(path), sink, user); });
}

keel_status keel_plugin_pin(const char* path, const char* trust_file, const char* comment,
                            keel_bytes_fn sink, void* user) {
  return Guard({{"path", path}, {"trust_file", trust_file}, {"comment", comment}, {"sink", sink}},
               [&] { return Answer(keel::PinPlugin(path, trust_file, comment), sink, user); });
}

keel_status keel_plugin_sign(const char* path, const char* key_file, const char* password,
                             keel_bytes_fn sink, void* user) {
  return Guard({{"path", path}, {"key_file", key_file}, {"password", password}, {"sink", sink}},
               [&] { return Answer(keel::SignPlugin(path, key_file, password), sink, user); });
}

keel_status keel_plugin_verify(const char* path, const char* trust_file, keel_bytes_fn sink,
                               void* user) {
  return Guard({{"path", path}, {"trust_file", trust_file}, {"sink", sink}},
               [&] { return Answer(keel::VerifyPlugin(path, trust_file), sink, user); });
}

keel_status keel_plugin_export_graph(const keel_options* options, const char* file,
                                     keel_bytes_fn sink, void* user) {
  return Guard({{"options", options}, {"file", file}, {"sink", sink}},
               [&] { return Answer(ExportGraph(options->options.model, file), sink, user); });
}

}  // extern "C"
