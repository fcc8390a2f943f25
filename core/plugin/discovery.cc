#include "core/plugin/discovery.h"

#include <sys/auxv.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/plugin/graph_files.h"
#include "core/plugin/inspect.h"
#include "core/plugin/manifest.h"
#include "core/plugin/sealed_file.h"

namespace keel {
namespace {

namespace fs = std::filesystem;

constexpr char kTreeInRunfiles[] = "keel/plugins";

// `path` without links, so that what is opened later is what was looked at.
absl::StatusOr<std::string> Resolve(const std::string& path) {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  if (!error) return resolved.string();
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot open ", path));
}

absl::StatusOr<PluginRef> ReadRef(const std::string& path, PluginOrigin origin) {
  PluginRef ref;
  ref.name = fs::path(path).filename().string();
  ref.origin = origin;
  KEEL_ASSIGN_OR_RETURN(ref.path, Resolve(path));
  const std::string where = absl::StrCat("plugin ", ref.name);
  const absl::StatusOr<std::string> bytes = ReadFile(ref.path, kMaxPluginBytes);
  if (!bytes.ok()) return Annotate(bytes.status(), where);
  absl::StatusOr<PluginNote> note = InspectPlugin(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()));
  if (!note.ok()) return Annotate(note.status(), where);
  ref.note = *std::move(note);
  return ref;
}

// The *.so files in `dir` and, if `depth` > 1, in its directories, sorted.
std::vector<std::string> LibrariesIn(const std::string& dir, int depth) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    std::error_code ignored;  // a link to nowhere is neither
    if (it->is_directory(ignored)) {
      if (depth > 1) {
        for (std::string& file : LibrariesIn(path.string(), depth - 1)) {
          files.push_back(std::move(file));
        }
      }
    } else if (path.extension() == ".so") {
      files.push_back(path.string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void Add(absl::StatusOr<PluginRef> ref, FoundPlugins& found) {
  if (!ref.ok()) {
    found.skipped.push_back(std::string(ref.status().message()));
    return;
  }
  for (const PluginRef& other : found.plugins) {
    if (other.path == ref->path) return;
  }
  found.plugins.push_back(*std::move(ref));
}

void AddDirectory(const std::string& dir, PluginOrigin origin, int depth, FoundPlugins& found) {
  for (const std::string& file : LibrariesIn(dir, depth)) {
    Add(ReadRef(file, origin), found);
  }
}

absl::Status AddPluginPath(const std::string& path, FoundPlugins& found) {
  if (IsDirectory(path)) {
    AddDirectory(path, PluginOrigin::kPluginPath, 1, found);
    return absl::OkStatus();
  }
  absl::StatusOr<PluginRef> ref = ReadRef(path, PluginOrigin::kPluginPath);
  KEEL_RETURN_IF_ERROR(ref);
  Add(std::move(ref), found);
  return absl::OkStatus();
}

// A graph's ref says what the manifest does; whether the file is as it says, its reader finds out.
absl::StatusOr<PluginRef> CheckpointRef(const std::string& directory,
                                        const PluginManifest& manifest,
                                        const PluginArtifact& artifact) {
  absl::StatusOr<std::string> path = ResolveInCheckpoint(directory, artifact.path);
  if (!path.ok()) {
    return Annotate(
        path.status(),
        absl::StrCat(artifact.kind == "graph" ? "graph file " : "plugin ", artifact.path));
  }
  PluginRef ref;
  if (artifact.kind == "graph") {
    ref.path = *std::move(path);
    ref.origin = PluginOrigin::kCheckpoint;
    ref.kind = PluginKind::kGraph;
    ref.note.id = manifest.id;
    ref.note.version = manifest.version;
    ref.note.architectures = manifest.architectures;
    SortNames(ref.note.architectures);
  } else {
    KEEL_ASSIGN_OR_RETURN(ref, ReadRef(*path, PluginOrigin::kCheckpoint));
  }
  ref.name = artifact.path;  // in a cache its file has another
  ref.sha256 = artifact.sha256;
  return ref;
}

// What the checkpoint's manifest names.
absl::Status AddFromManifest(const PluginSearch& search, FoundPlugins& found) {
  KEEL_ASSIGN_OR_RETURN(const std::optional<PluginManifest> manifest,
                        ReadCheckpointManifest(search.checkpoint_dir));
  if (!manifest.has_value()) return absl::OkStatus();
  const absl::StatusOr<std::vector<PluginArtifact>> artifacts =
      ArtifactsForThisMachine(*manifest, search.prefer_code);
  if (!artifacts.ok()) {
    found.skipped.push_back(std::string(artifacts.status().message()));
    return absl::OkStatus();
  }
  for (const PluginArtifact& artifact : *artifacts)
    Add(CheckpointRef(search.checkpoint_dir, *manifest, artifact), found);
  return absl::OkStatus();
}

absl::Status AddCheckpoint(const PluginSearch& search, FoundPlugins& found) {
  KEEL_RETURN_IF_ERROR(AddFromManifest(search, found));
  const bool has_code =
      std::any_of(found.plugins.begin(), found.plugins.end(), [](const PluginRef& ref) {
        return ref.origin == PluginOrigin::kCheckpoint && ref.kind == PluginKind::kLibrary;
      });
  if (!(search.prefer_code && has_code)) AddGraphBesideCheckpoint(search.checkpoint_dir, found);
  return absl::OkStatus();
}

// The file that this code is in: the program, or libkeel.so in another's program.
std::string ThisFile() {
  static const char marker = 0;
  const auto address = reinterpret_cast<uintptr_t>(&marker);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    int name = 0;
    if (sscanf(line.c_str(), "%lx-%lx %*s %*s %*s %*s %n", &begin, &end, &name) < 2) continue;
    if (address >= begin && address < end && name > 0) return line.substr(name);
  }
  return "";
}

std::optional<std::string> Environment(const char* name) {
  if (getauxval(AT_SECURE) != 0) return std::nullopt;
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string> InTreePluginDirs() {
  if (const std::optional<std::string> dirs = Environment("KEEL_PLUGIN_DIR")) {
    return absl::StrSplit(*dirs, ':', absl::SkipEmpty());
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path files[] = {program, ThisFile()};
  std::vector<fs::path> candidates;
  for (const fs::path& file : files) {
    candidates.push_back(fs::path(file.string() + ".runfiles") / kTreeInRunfiles);
  }
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const std::optional<std::string> dir = Environment(name)) {
      candidates.push_back(fs::path(*dir) / kTreeInRunfiles);
    }
  }
  for (const fs::path& file : files) {
    candidates.push_back(file.parent_path() / "plugins");
    candidates.push_back(file.parent_path() / "../lib/keel/plugins");
  }
  for (const fs::path& candidate : candidates) {
    const absl::StatusOr<std::string> dir = Resolve(candidate.string());
    if (dir.ok() && IsDirectory(*dir)) return {*dir};
  }
  return {};
}

absl::StatusOr<FoundPlugins> DiscoverPlugins(const PluginSearch& search) {
  FoundPlugins found;
  found.in_tree_dirs = search.in_tree_dirs;
  for (const std::string& path : search.plugin_paths) {
    const absl::Status status = AddPluginPath(path, found);
    if (!status.ok()) return Annotate(status, absl::StrCat("--plugin-path ", path));
  }
  for (const std::string& dir : search.in_tree_dirs) {
    AddDirectory(dir, PluginOrigin::kInTree, 2, found);
  }
  if (!search.graph_dir.empty())
    KEEL_RETURN_IF_ERROR(AddGraphDir(search.graph_dir, search.checkpoint_dir, found));
  if (!search.checkpoint_dir.empty()) {
    KEEL_RETURN_IF_ERROR(AddCheckpoint(search, found));
  }
  return found;
}

}  // namespace keel
