#include "core/model/remote_graph.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/graph/graph_file.h"
#include "core/remote/jailed_plugin.h"

namespace keel {
namespace {

constexpr char kConfig[] = "config.json";

absl::StatusOr<std::string> ConfigText(const Checkpoint& checkpoint) {
  KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text, checkpoint.ReadText(kConfig));
  if (text.has_value()) return *text;
  return absl::NotFoundError(absl::StrCat(checkpoint.dir(), ": config.json is gone"));
}

}  // namespace

std::string ExportAgain(const PluginRef& ref, const std::string& dir) {
  const bool in_manifest = !ref.sha256.empty();
  return absl::StrCat(in_manifest ? "keel-plugin export-graph " : "keel export-transformers ", dir);
}

absl::Status CheckBinding(const proto::Graph& graph, const PluginRef& ref,
                          const Checkpoint& checkpoint) {
  KEEL_ASSIGN_OR_RETURN(const proto::Provenance actual, ProvenanceOf(checkpoint, ""));
  const std::string& stated = graph.provenance().config_sha256();
  if (stated == actual.config_sha256()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      LabelOf(ref), ": was made for a config.json with ",
      IsSha256Hex(stated) ? absl::StrCat("sha256 ", stated) : "a sha256 that it does not say",
      ", this one has ", actual.config_sha256(),
      "; export it again: ", ExportAgain(ref, checkpoint.dir())));
}

absl::StatusOr<proto::Provenance> ProvenanceOf(const Checkpoint& checkpoint,
                                               const std::string& plugin_sha256) {
  KEEL_ASSIGN_OR_RETURN(const std::string config, ConfigText(checkpoint));
  proto::Provenance out;
  out.set_plugin_sha256(plugin_sha256);
  out.set_config_sha256(
      Sha256Hex({reinterpret_cast<const uint8_t*>(config.data()), config.size()}));
  return out;
}

absl::StatusOr<proto::Graph> ReadRemoteGraph(const PluginTrust& trust, const PluginRef& ref) {
  KEEL_ASSIGN_OR_RETURN(const JailedImage image, trust.SealGraph(ref, kMaxGraphFileBytes));
  return ReadGraphInJail(image);
}

absl::StatusOr<proto::Graph> RecordRemoteGraph(const PluginTrust& trust, const ModelChoice& choice,
                                               const Checkpoint& checkpoint) {
  KEEL_ASSIGN_OR_RETURN(const JailedImage image, trust.AuthorizeJailed(choice.plugin));
  proto::RecordRequest request;
  KEEL_ASSIGN_OR_RETURN(*request.mutable_config_json(), ConfigText(checkpoint));
  request.set_where(kConfig);
  request.set_architecture(choice.architecture);
  request.set_model_type(choice.model_type);
  return RecordInJail(image, request);
}

}  // namespace keel
