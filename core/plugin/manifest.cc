#include "core/plugin/manifest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/plugin/note.h"
#include "core/plugin/sealed_file.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr int64_t kMaxManifestBytes = 1 << 20;
constexpr char kDefaultName[] = "keel_plugin.json";
constexpr size_t kMaxArtifacts = 64, kMaxArchitectures = 1024;

// A file of the checkpoint's own directory: no path, no hidden file.
bool IsFileName(absl::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return c == '/' || c == '\\' || absl::ascii_iscntrl(c); });
}

absl::StatusOr<PluginArtifact> ReadArtifact(const json::value& value, absl::string_view where) {
  PluginArtifact artifact;
  KEEL_ASSIGN_OR_RETURN(artifact.kind, GetJson<std::string>(value, "/kind", where));
  KEEL_ASSIGN_OR_RETURN(artifact.path, GetJson<std::string>(value, "/path", where));
  KEEL_ASSIGN_OR_RETURN(artifact.sha256, GetJson<std::string>(value, "/sha256", where));
  for (const auto& [pointer, field] : {std::pair{"/os", &artifact.os}, {"/arch", &artifact.arch}}) {
    KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                          FindJson<std::string>(value, pointer, where));
    *field = text.value_or("");
  }
  if (!IsFileName(artifact.path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": path is ", JsonSnippet(json::string(artifact.path)),
                     ", expected the name of a file beside the manifest"));
  }
  if (!IsSha256Hex(artifact.sha256)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": sha256 of ", artifact.path, " is not 64 digits 0-9, a-f"));
  }
  return artifact;
}

// What config.json's auto_map names, or keel_plugin.json.
absl::StatusOr<std::string> ManifestName(const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  if (!IsRegularFile(path)) return kDefaultName;
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  KEEL_ASSIGN_OR_RETURN(const json::value config, ParseJson(text, path));
  KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> name,
                        FindJson<std::string>(config, "/auto_map/KeelPlugin", path));
  if (!name.has_value()) return kDefaultName;
  if (!IsFileName(*name)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": auto_map.KeelPlugin is ", JsonSnippet(json::string(*name)),
                     ", expected the name of a file of the checkpoint"));
  }
  return *name;
}

}  // namespace

absl::StatusOr<PluginManifest> ParsePluginManifest(absl::string_view text,
                                                   absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(
      const json::value root,
      ParseJson(text, where,
                {.max_bytes = kMaxManifestBytes, .max_depth = 16, .unique_keys = true}));
  PluginManifest manifest;
  KEEL_ASSIGN_OR_RETURN(manifest.id, GetJson<std::string>(root, "/id", where));
  KEEL_ASSIGN_OR_RETURN(const std::optional<std::string> version,
                        FindJson<std::string>(root, "/version", where));
  manifest.version = version.value_or("0");
  KEEL_ASSIGN_OR_RETURN(manifest.architectures,
                        GetJson<std::vector<std::string>>(root, "/architectures", where));
  std::vector<std::string> names = manifest.architectures;
  names.insert(names.end(), {manifest.id, manifest.version});
  for (const std::string& name : names) {
    if (IsPluginName(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", JsonSnippet(json::string(name)),
                     " is no id, version or architecture, expected 1 to 200 printable characters"));
  }
  KEEL_ASSIGN_OR_RETURN(const json::array* artifacts,
                        GetJson<const json::array*>(root, "/artifacts", where));
  if (artifacts->size() > kMaxArtifacts || names.size() > kMaxArchitectures) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": more than ", kMaxArtifacts,
                                                   " artifacts or ", kMaxArchitectures, " names"));
  }
  for (const json::value& value : *artifacts) {
    KEEL_ASSIGN_OR_RETURN(manifest.artifacts.emplace_back(), ReadArtifact(value, where));
  }
  return manifest;
}

absl::StatusOr<std::optional<PluginManifest>> ReadCheckpointManifest(const std::string& directory) {
  KEEL_ASSIGN_OR_RETURN(const std::string name, ManifestName(directory));
  const std::string path = JoinPath(directory, name);
  if (name == kDefaultName && !IsRegularFile(path)) return std::nullopt;
  KEEL_ASSIGN_OR_RETURN(const std::string resolved, ResolveInCheckpoint(directory, name));
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(resolved, kMaxManifestBytes));
  KEEL_ASSIGN_OR_RETURN(PluginManifest manifest, ParsePluginManifest(text, path));
  return manifest;
}

absl::StatusOr<std::vector<PluginArtifact>> ArtifactsForThisMachine(const PluginManifest& manifest,
                                                                    bool prefer_code) {
  const PluginArtifact *graph = nullptr, *library = nullptr;
  std::vector<std::string> others;
  for (const PluginArtifact& artifact : manifest.artifacts) {
    if (artifact.kind == "graph" && graph == nullptr) graph = &artifact;
    if (artifact.kind == "so" && artifact.os == "linux" && artifact.arch == kThisArch) {
      library = &artifact;
    }
    others.push_back(absl::StrCat(artifact.kind, " ", artifact.os, " ", artifact.arch));
  }
  std::vector<PluginArtifact> out;
  if (graph != nullptr && !(prefer_code && library != nullptr)) out.push_back(*graph);
  if (library != nullptr) out.push_back(*library);
  if (!out.empty()) return out;
  return absl::NotFoundError(
      absl::StrCat("plugin ", manifest.id, " has no artifact of kind graph, or so for linux ",
                   kThisArch, ", only: ", others.empty() ? "none" : absl::StrJoin(others, ", ")));
}

}  // namespace keel
