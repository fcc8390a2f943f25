#include "core/remote/plugin_tools.h"

#include <google/protobuf/text_format.h>

#include <boost/json/array.hpp>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/graph/graph_file.h"
#include "core/plugin/discovery.h"
#include "core/plugin/sealed_file.h"
#include "core/plugin/trust.h"
#include "core/plugin/trust_store.h"
#include "core/remote/jailed_plugin.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr int64_t kMaxKeyBytes = 4096;
constexpr absl::string_view kElf =
    "\x7f"
    "ELF";

json::array Names(const std::vector<std::string>& names) {
  return json::array(names.begin(), names.end());
}

// A file that the user named is not asked for a pin: only VerifyPlugin asks.
absl::StatusOr<PluginRef> FindInCheckpoint(const std::string& directory, bool prefer_code) {
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found,
                        DiscoverPlugins({.checkpoint_dir = directory, .prefer_code = prefer_code}));
  if (!found.plugins.empty()) return std::move(found.plugins[0]);
  if (!found.skipped.empty()) return absl::InvalidArgumentError(found.skipped[0]);
  return absl::NotFoundError(absl::StrCat(
      directory, ": no keel_plugin.json and no keel-graph.pb, so it brings no plugin"));
}

bool IsLibrary(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  return absl::string_view(magic, sizeof(magic)) == kElf;
}

absl::StatusOr<PluginRef> Find(const std::string& path, bool prefer_code) {
  if (IsDirectory(path)) return FindInCheckpoint(path, prefer_code);
  KEEL_RETURN_IF_ERROR(RegularFileSize(path).status());
  if (!prefer_code && !IsLibrary(path)) {
    PluginRef ref;
    ref.path = path;
    ref.name = path.substr(path.rfind('/') + 1);
    ref.kind = PluginKind::kGraph;
    return ref;
  }
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins({.plugin_paths = {path}}));
  return std::move(found.plugins[0]);
}

absl::StatusOr<AuthorizedImage> OpenLibrary(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN(PluginRef ref, Find(path, /*prefer_code=*/true));
  ref.origin = PluginOrigin::kPluginPath;  // the user named it
  return PluginTrust().Authorize(ref);
}

json::value SignedAs(const std::string& path) {
  const auto text = ReadFile(absl::StrCat(path, ".minisig"), kMaxKeyBytes);
  if (!text.ok()) return nullptr;
  const auto signature = ParseMinisignSignature(*text);
  return signature.ok() ? json::value(signature->trusted_comment) : json::value(nullptr);
}

json::object DescribeLibrary(const AuthorizedImage& image) {
  const PluginNote& note = image.ref().note;
  return {{"kind", "library"},
          {"path", image.ref().path},
          {"sha256", image.sha256()},
          {"id", note.id},
          {"version", note.version},
          {"abi", absl::StrCat(note.abi_major, ".", note.abi_minor)},
          {"architectures", Names(note.architectures)},
          {"model_types", Names(note.model_types)},
          {"attention", Names(note.attention)},
          {"kernels", Names(note.kernels)},
          {"processors", Names(note.processors)},
          {"signed_as", SignedAs(image.ref().path)}};
}

absl::StatusOr<json::object> DescribeGraph(const PluginRef& ref) {
  KEEL_ASSIGN_OR_RETURN(const JailedImage image, PluginTrust().SealGraph(ref, kMaxGraphFileBytes));
  KEEL_ASSIGN_OR_RETURN(const proto::Graph graph, ReadGraphInJail(image));
  json::object functions;
  for (const proto::Function& function : graph.functions())
    functions[function.name()] = function.nodes_size();
  std::string text;
  google::protobuf::TextFormat::PrintToString(graph, &text);
  const proto::Provenance& from = graph.provenance();
  return json::object{{"kind", "graph"},
                      {"path", ref.path},
                      {"sha256", image.sha256()},
                      {"plugin", graph.plugin()},
                      {"opset", graph.opset()},
                      {"architecture", graph.spec().architecture()},
                      {"provenance", json::object{{"plugin_sha256", from.plugin_sha256()},
                                                  {"config_sha256", from.config_sha256()},
                                                  {"recorded_by", from.recorded_by()}}},
                      {"declarations", graph.declarations_size()},
                      {"functions", std::move(functions)},
                      {"text", text}};
}

}  // namespace

absl::StatusOr<json::object> InspectPluginFile(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN(PluginRef ref, Find(path, /*prefer_code=*/false));
  if (ref.kind == PluginKind::kGraph) return DescribeGraph(ref);
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, OpenLibrary(path));
  return DescribeLibrary(image);
}

absl::StatusOr<json::object> PinPlugin(const std::string& path, const std::string& trust_file,
                                       const std::string& comment) {
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, OpenLibrary(path));
  const std::string file = trust_file.empty() ? TrustStore::UserFile() : trust_file;
  if (file.empty()) {
    return absl::FailedPreconditionError(
        "there is no trust file of yours (HOME is not set); name one");
  }
  const PluginNote& note = image.ref().note;
  KEEL_RETURN_IF_ERROR(AppendPin(
      file, image.sha256(), comment.empty() ? absl::StrCat(note.id, " ", note.version) : comment));
  return json::object{{"sha256", image.sha256()}, {"trust_file", file}};
}

absl::StatusOr<json::object> SignPlugin(const std::string& path, const std::string& key_file,
                                        const std::string& password) {
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, OpenLibrary(path));
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(key_file, kMaxKeyBytes));
  absl::StatusOr<MinisignSecretKey> key = ParseMinisignSecretKey(text, password);
  if (!key.ok()) return Annotate(key.status(), key_file);
  const std::string name = SignedName(image.ref().note);
  std::string signature;
  KEEL_RETURN_IF_ERROR(WithBytes(image.fd(), [&](absl::Span<const uint8_t> bytes) {
    KEEL_ASSIGN_OR_RETURN(signature, SignMinisign(*key, bytes, name));
    return absl::OkStatus();
  }));
  const std::string file = absl::StrCat(image.ref().path, ".minisig");
  std::ofstream out(file);
  if (!(out << signature) || !out.flush())
    return absl::PermissionDeniedError(absl::StrCat("cannot write ", file));
  return json::object{
      {"signature", file}, {"key", MinisignKeyIdText(key->id)}, {"signed_as", name}};
}

absl::StatusOr<json::object> VerifyPlugin(const std::string& path, const std::string& trust_file) {
  KEEL_ASSIGN_OR_RETURN(PluginRef ref, Find(path, /*prefer_code=*/true));
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, OpenLibrary(path));
  RemoteCodePolicy policy;
  policy.mode = RemoteCodePolicy::Mode::kFull;
  policy.trust_file = trust_file;
  KEEL_ASSIGN_OR_RETURN(const PluginTrust trust, PluginTrust::Open(policy));
  ref.origin = PluginOrigin::kCheckpoint;
  const absl::Status verified = trust.Authorize(ref).status();
  return json::object{{"sha256", image.sha256()},
                      {"verified", verified.ok()},
                      {"reason", std::string(verified.message())}};
}

}  // namespace keel
