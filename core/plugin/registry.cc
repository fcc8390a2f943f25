#include "core/plugin/registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace keel {
namespace {

using Names = std::vector<std::string>;

bool Contains(const Names& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Insertions, deletions and replacements between two words (Levenshtein), case ignored.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1]);
      const size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// The plugin of `origin` that has `name` in `list`; null if none has.
absl::StatusOr<const PluginRef*> FindOne(const FoundPlugins& found, PluginOrigin origin,
                                         Names PluginNote::*list, absl::string_view name) {
  const PluginRef* match = nullptr;
  for (const PluginRef& ref : found.plugins) {
    if (ref.origin != origin || !Contains(ref.note.*list, name)) continue;
    if (match != nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(match->path, " and ", ref.path, " (",
                                                        PluginOriginName(origin), ") both provide ",
                                                        name, "; leave one of them"));
    }
    match = &ref;
  }
  return match;
}

constexpr PluginOrigin kAllOrigins[] = {PluginOrigin::kPluginPath, PluginOrigin::kInTree,
                                        PluginOrigin::kCheckpoint};

absl::StatusOr<const PluginRef*> FindFirst(const FoundPlugins& found, Names PluginNote::*list,
                                           absl::string_view name) {
  for (const PluginOrigin origin : kAllOrigins) {
    KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, FindOne(found, origin, list, name));
    if (ref != nullptr) return ref;
  }
  return nullptr;
}

// The places that `impl` allows, in order.
std::vector<PluginOrigin> Origins(ModelImpl impl, RemoteCodePolicy::Mode remote_code) {
  switch (impl) {
    case ModelImpl::kNative:
      return {PluginOrigin::kInTree};
    case ModelImpl::kPlugin:
      return {PluginOrigin::kPluginPath, PluginOrigin::kCheckpoint};
    case ModelImpl::kAuto:
      break;
  }
  std::vector<PluginOrigin> origins = {PluginOrigin::kPluginPath, PluginOrigin::kInTree};
  if (remote_code != RemoteCodePolicy::Mode::kNone) origins.push_back(PluginOrigin::kCheckpoint);
  return origins;
}

// What is asked for, in words.
std::string Describe(const ModelQuery& query) {
  if (!query.architectures.empty()) return absl::StrJoin(query.architectures, ", ");
  if (!query.model_type.empty()) return absl::StrCat("model_type '", query.model_type, "'");
  return "a model whose config.json has neither architectures nor model_type";
}

std::string DescribePlace(PluginOrigin origin, const FoundPlugins& found) {
  Names files;
  for (const PluginRef& ref : found.plugins) {
    if (ref.origin == origin) files.push_back(ref.name);
  }
  std::string place(PluginOriginName(origin));
  if (origin == PluginOrigin::kInTree && !found.in_tree_dirs.empty()) {
    absl::StrAppend(&place, " ", absl::StrJoin(found.in_tree_dirs, ":"));
  }
  return absl::StrCat(place, " (", files.empty() ? "no plugins" : absl::StrJoin(files, ", "), ")");
}

}  // namespace

std::vector<std::string> NearestNames(absl::string_view name, const Names& names, size_t limit) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : names) {
    const size_t distance = Distance(name, candidate);
    if (distance <= std::max(name.size(), candidate.size()) / 2) {
      near.emplace_back(distance, candidate);
    }
  }
  std::sort(near.begin(), near.end());
  Names nearest;
  for (auto& [distance, candidate] : near) {
    if (nearest.size() < limit) nearest.push_back(std::move(candidate));
  }
  return nearest;
}

absl::StatusOr<ModelImpl> ParseModelImpl(absl::string_view text) {
  if (text == "auto") return ModelImpl::kAuto;
  if (text == "native") return ModelImpl::kNative;
  if (text == "plugin" || text == "transformers") return ModelImpl::kPlugin;
  return absl::InvalidArgumentError(
      absl::StrCat("--model-impl is '", text, "', expected auto, native, plugin or transformers"));
}

const char* ModelImplName(ModelImpl impl) {
  switch (impl) {
    case ModelImpl::kAuto:
      return "auto";
    case ModelImpl::kNative:
      return "native";
    case ModelImpl::kPlugin:
      return "plugin";
  }
  return "";
}

absl::StatusOr<ModelChoice> ModelRegistry::Resolve(const ModelQuery& query) const {
  for (const PluginOrigin origin : Origins(query.impl, remote_code_)) {
    for (const std::string& architecture : query.architectures) {
      KEEL_ASSIGN_OR_RETURN(const PluginRef* ref,
                            FindOne(found_, origin, &PluginNote::architectures, architecture));
      if (ref != nullptr) return ModelChoice{*ref, architecture, query.model_type};
    }
    if (query.architectures.empty() && !query.model_type.empty()) {
      KEEL_ASSIGN_OR_RETURN(const PluginRef* ref,
                            FindOne(found_, origin, &PluginNote::model_types, query.model_type));
      if (ref != nullptr) return ModelChoice{*ref, "", query.model_type};
    }
  }
  return NotFound(query);
}

absl::Status ModelRegistry::NotFound(const ModelQuery& query) const {
  const std::vector<PluginOrigin> origins = Origins(query.impl, remote_code_);
  Names places;
  for (const PluginOrigin origin : origins) places.push_back(DescribePlace(origin, found_));
  std::string message = absl::StrCat("no plugin serves ", Describe(query), "; looked in ",
                                     absl::StrJoin(places, ", "));

  // A plugin of a place that was left out would do.
  for (const PluginOrigin origin : kAllOrigins) {
    if (std::find(origins.begin(), origins.end(), origin) != origins.end()) continue;
    for (const std::string& architecture : query.architectures) {
      const absl::StatusOr<const PluginRef*> ref =
          FindOne(found_, origin, &PluginNote::architectures, architecture);
      if (!ref.ok() || *ref == nullptr) continue;
      absl::StrAppend(&message, "; ", (*ref)->name, " (", PluginOriginName(origin), ") serves it, ",
                      query.impl == ModelImpl::kAuto ? "but --trust-remote-code is not given"
                                                     : "but --model-impl excludes it");
    }
  }
  for (const std::string& reason : found_.skipped) absl::StrAppend(&message, "; skipped ", reason);
  Names nearest;
  for (const std::string& architecture : query.architectures) {
    for (std::string& name : NearestNames(architecture, Architectures(), 3)) {
      if (!Contains(nearest, name)) nearest.push_back(std::move(name));
    }
  }
  if (!nearest.empty()) absl::StrAppend(&message, "; nearest: ", absl::StrJoin(nearest, ", "));
  absl::StrAppend(&message,
                  "; write a plugin (docs/plugin-authoring.md) and give it with --plugin-path");
  return absl::NotFoundError(message);
}

std::vector<std::string> ModelRegistry::Architectures() const {
  Names names;
  for (const PluginRef& ref : found_.plugins) {
    names.insert(names.end(), ref.note.architectures.begin(), ref.note.architectures.end());
  }
  SortNames(names);
  return names;
}

absl::StatusOr<const keel_model_class*> FindModelClass(const Plugin& plugin,
                                                       const ModelChoice& choice) {
  if (!choice.architecture.empty()) {
    if (const keel_model_class* c = plugin.FindModel(choice.architecture)) return c;
  } else {
    for (const keel_model_class* c : plugin.classes().models) {
      if (c->model_type != nullptr && c->model_type == choice.model_type) return c;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("plugin ", plugin.name(), ": has no class for ",
                   choice.architecture.empty() ? choice.model_type : choice.architecture));
}

std::vector<std::string> AttentionNames::Names() const {
  std::vector<std::string> names = host_names_;
  for (const PluginRef& ref : found_.plugins) {
    names.insert(names.end(), ref.note.attention.begin(), ref.note.attention.end());
  }
  SortNames(names);
  return names;
}

absl::StatusOr<AttentionProvider> AttentionNames::Find(absl::string_view name) const {
  if (Contains(host_names_, name)) return AttentionProvider{std::string(name), nullptr};
  KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, FindFirst(found_, &PluginNote::attention, name));
  if (ref != nullptr) return AttentionProvider{std::string(name), ref};
  return absl::NotFoundError(absl::StrCat("no attention implementation '", name, "'; there are ",
                                          absl::StrJoin(Names(), ", ")));
}

absl::StatusOr<const PluginRef*> ProcessorRegistry::Find(absl::string_view name) const {
  return FindFirst(found_, &PluginNote::processors, name);
}

}  // namespace keel
