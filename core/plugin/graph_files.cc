#include "core/plugin/graph_files.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/plugin/note.h"
#include "core/plugin/sealed_file.h"

namespace keel {
namespace {

namespace fs = std::filesystem;

constexpr char kConfig[] = "config.json";

// What a graph file of this config.json serves.
struct BoundConfig {
  std::string sha256;
  std::vector<std::string> architectures, model_types;
};

// Nothing if there is no config.json that could be served: who reads it says why.
std::optional<BoundConfig> ReadConfig(const std::string& checkpoint_dir) {
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(checkpoint_dir, kConfig));
  if (!text.ok()) return std::nullopt;
  const absl::StatusOr<boost::json::value> config = ParseJson(*text, kConfig);
  if (!config.ok()) return std::nullopt;
  BoundConfig bound;
  bound.sha256 = Sha256Hex({reinterpret_cast<const uint8_t*>(text->data()), text->size()});
  auto architectures = FindJson<std::vector<std::string>>(*config, "/architectures", kConfig);
  if (architectures.ok() && architectures->has_value())
    bound.architectures = **std::move(architectures);
  SortNames(bound.architectures);
  const auto model_type = FindJson<std::string>(*config, "/model_type", kConfig);
  if (model_type.ok() && model_type->has_value()) bound.model_types = {**model_type};
  return bound;
}

void Add(std::string path, PluginOrigin origin, const BoundConfig& config, FoundPlugins& found) {
  for (const PluginRef& other : found.plugins) {
    if (other.path == path) return;  // a manifest names it
  }
  PluginRef ref;
  ref.name = fs::path(path).filename().string();
  ref.path = std::move(path);
  ref.origin = origin;
  ref.kind = PluginKind::kGraph;
  ref.note.architectures = config.architectures;
  ref.note.model_types = config.model_types;
  found.plugins.push_back(std::move(ref));
}

}  // namespace

absl::Status AddGraphDir(const std::string& graph_dir, const std::string& checkpoint_dir,
                         FoundPlugins& found) {
  if (!IsDirectory(graph_dir))
    return absl::NotFoundError(absl::StrCat("--graph-dir ", graph_dir, ": is no directory"));
  const std::optional<BoundConfig> config = ReadConfig(checkpoint_dir);
  if (!config.has_value()) return absl::OkStatus();
  for (const std::string& name :
       {absl::StrCat(config->sha256, ".pb"), std::string(kGraphFileName)}) {
    std::error_code error;
    const fs::path path = fs::canonical(fs::path(graph_dir) / name, error);
    if (error) continue;
    Add(path.string(), PluginOrigin::kGraphDir, *config, found);
    break;
  }
  return absl::OkStatus();
}

void AddGraphBesideCheckpoint(const std::string& checkpoint_dir, FoundPlugins& found) {
  if (!IsRegularFile(JoinPath(checkpoint_dir, kGraphFileName))) return;
  const std::optional<BoundConfig> config = ReadConfig(checkpoint_dir);
  if (!config.has_value()) return;
  absl::StatusOr<std::string> path = ResolveInCheckpoint(checkpoint_dir, kGraphFileName);
  if (!path.ok()) {
    found.skipped.push_back(
        absl::StrCat("graph file ", kGraphFileName, ": ", path.status().message()));
    return;
  }
  Add(*std::move(path), PluginOrigin::kCheckpoint, *config, found);
}

}  // namespace keel
