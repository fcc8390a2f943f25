#include "core/checkpoint/locate.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr absl::string_view kMain = "main";

struct HubCache {
  std::string dir;
  std::string source;  // the variable that set it, for messages
};

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string ExpandHome(absl::string_view path) {
  if (path != "~" && !absl::StartsWith(path, "~/")) return std::string(path);
  return absl::StrCat(Environment("HOME"), path.substr(1));
}

HubCache FindHubCache() {
  constexpr struct {
    const char* variable;
    const char* below;
  } kSources[] = {
      {"HF_HUB_CACHE", ""},
      {"HUGGINGFACE_HUB_CACHE", ""},
      {"HF_HOME", "/hub"},
      {"XDG_CACHE_HOME", "/huggingface/hub"},
  };
  for (const auto& [variable, below] : kSources) {
    const std::string value = Environment(variable);
    if (!value.empty()) return {absl::StrCat(ExpandHome(value), below), variable};
  }
  return {ExpandHome("~/.cache/huggingface/hub"), "default"};
}

struct HubId {
  std::string repository;  // "org/name", or a bare "name" as of the hub's first models
  std::string revision;
};

bool IsHubName(absl::string_view name) {
  if (name.empty() || name.front() == '.' || name.front() == '-') return false;
  if (absl::StrContains(name, "--") || absl::StrContains(name, "..")) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

// A revision becomes a path below refs/ or snapshots/ ("refs/pr/1" is one), so it must not climb
// out.
bool IsRevision(absl::string_view revision) {
  for (const absl::string_view part : absl::StrSplit(revision, '/')) {
    if (part.empty() || part == "." || part == ".." || absl::StrContains(part, '\0')) return false;
  }
  return true;
}

bool IsCommit(absl::string_view revision) {
  if (revision.size() != 40) return false;
  for (const char c : revision) {
    if (!absl::ascii_isxdigit(c)) return false;
  }
  return true;
}

absl::StatusOr<HubId> ParseHubId(absl::string_view model) {
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(model, absl::MaxSplits('@', 1));
  const bool has_revision = absl::StrContains(model, '@');
  const std::vector<absl::string_view> names = absl::StrSplit(halves.first, '/');
  bool valid = names.size() <= 2 && (!has_revision || IsRevision(halves.second));
  for (const absl::string_view name : names) valid = valid && IsHubName(name);
  if (!valid) return absl::InvalidArgumentError("not of the form org/name or org/name@revision");
  return HubId{std::string(halves.first),
               has_revision ? std::string(halves.second) : std::string(kMain)};
}

// The one snapshot of a cache that was copied or made without refs/; "" if there are none or more.
std::string OnlySnapshot(const std::string& repository_dir) {
  std::string only;
  std::error_code error;
  const std::string snapshots = JoinPath(repository_dir, "snapshots");
  for (const auto& entry : std::filesystem::directory_iterator(snapshots, error)) {
    const std::string name = entry.path().filename().string();
    if (!IsCommit(name)) continue;
    if (!only.empty()) return "";
    only = name;
  }
  return error ? "" : only;
}

// The snapshot of `id` below `repository_dir`, or the reason why there is none.
absl::StatusOr<ModelLocation> FindSnapshot(const std::string& repository_dir, const HubId& id) {
  std::string commit = id.revision;
  if (commit == kMain && !IsRegularFile(JoinPath(repository_dir, "refs/main"))) {
    const std::string only = OnlySnapshot(repository_dir);
    if (!only.empty()) commit = only;
  }
  if (!IsCommit(commit)) {
    const std::string ref = JoinPath(repository_dir, absl::StrCat("refs/", id.revision));
    const absl::StatusOr<std::string> text = ReadFile(ref, 4096);
    if (!text.ok()) return absl::NotFoundError(absl::StrCat(ref, " (does not exist)"));
    commit = std::string(absl::StripAsciiWhitespace(*text));
    if (!IsCommit(commit)) return absl::NotFoundError(absl::StrCat(ref, " (holds no commit id)"));
  }
  std::string dir = JoinPath(repository_dir, absl::StrCat("snapshots/", commit));
  if (!IsDirectory(dir)) return absl::NotFoundError(absl::StrCat(dir, " (does not exist)"));
  return ModelLocation{std::move(dir), std::move(commit)};
}

absl::Status NotFound(absl::string_view model, const std::vector<std::string>& looked_at) {
  return absl::NotFoundError(
      absl::StrCat("model '", model, "' was not found; looked at: ", absl::StrJoin(looked_at, "; "),
                   "; give a directory, or download the model first: hf download ", model));
}

}  // namespace

absl::StatusOr<ModelLocation> LocateModel(absl::string_view model, absl::string_view base_dir) {
  if (model.empty() || absl::StrContains(model, '\0')) {
    return absl::InvalidArgumentError("the model's name is empty; give a directory or org/name");
  }
  const std::string path = JoinPath(base_dir, model);
  if (IsDirectory(path)) return ModelLocation{path, ""};
  if (IsRegularFile(path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model '", model, "': ", path, " is a file; give the directory that holds config.json"));
  }
  std::vector<std::string> looked_at = {absl::StrCat(path, " (no directory)")};

  const absl::StatusOr<HubId> id = ParseHubId(model);
  if (!id.ok()) {
    looked_at.push_back(
        absl::StrCat("not in the Hugging Face cache, as the name is ", id.status().message()));
    return NotFound(model, looked_at);
  }
  const HubCache cache = FindHubCache();
  const std::string repository_dir = JoinPath(
      cache.dir, absl::StrCat("models--", absl::StrReplaceAll(id->repository, {{"/", "--"}})));
  if (!IsDirectory(repository_dir)) {
    looked_at.push_back(absl::StrCat(
        repository_dir, " (does not exist; the cache is ",
        cache.source == "default" ? "at its default place" : "set by " + cache.source, ")"));
    return NotFound(model, looked_at);
  }
  absl::StatusOr<ModelLocation> snapshot = FindSnapshot(repository_dir, *id);
  if (snapshot.ok()) return snapshot;
  looked_at.push_back(std::string(snapshot.status().message()));
  return NotFound(model, looked_at);
}

}  // namespace keel
