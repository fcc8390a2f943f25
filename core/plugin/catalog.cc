#include "core/plugin/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/nearest.h"
#include "core/base/status.h"

namespace keel {
namespace {

using Names = std::vector<std::string>;

bool Contains(const Names& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The plugin of `origin` that has `name` in `list`; null if none has.
absl::StatusOr<const PluginRef*> FindOne(const FoundPlugins& found, PluginOrigin origin,
                                         Names PluginNote::*list, absl::string_view name,
                                         bool graphs_only = false) {
  const PluginRef* match = nullptr;
  for (const PluginRef& ref : found.plugins) {
    if (ref.origin != origin || !Contains(ref.note.*list, name)) continue;
    if (graphs_only && ref.kind != PluginKind::kGraph) continue;
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

Names AllNames(const FoundPlugins& found, Names PluginNote::*list) {
  Names names;
  for (const PluginRef& ref : found.plugins)
    names.insert(names.end(), (ref.note.*list).begin(), (ref.note.*list).end());
  SortNames(names);
  return names;
}

// The places that `impl` allows, in order.
std::vector<PluginOrigin> Origins(ModelImpl impl) {
  switch (impl) {
    case ModelImpl::kNative:
      return {PluginOrigin::kInTree};
    case ModelImpl::kPlugin:
      return {PluginOrigin::kPluginPath, PluginOrigin::kCheckpoint};
    case ModelImpl::kAuto:
      break;
  }
  return {std::begin(kAllOrigins), std::end(kAllOrigins)};
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

bool PluginCatalog::IsForGraphsOnly(const ModelQuery& query, PluginOrigin origin) const {
  return origin == PluginOrigin::kCheckpoint && query.impl == ModelImpl::kAuto &&
         remote_code_ == RemoteCodePolicy::Mode::kNone;
}

absl::StatusOr<ModelChoice> PluginCatalog::FindModel(const ModelQuery& query) const {
  for (const PluginOrigin origin : Origins(query.impl)) {
    const bool graphs_only = IsForGraphsOnly(query, origin);
    for (const std::string& architecture : query.architectures) {
      KEEL_ASSIGN_OR_RETURN(
          const PluginRef* ref,
          FindOne(found_, origin, &PluginNote::architectures, architecture, graphs_only));
      if (ref != nullptr) return ModelChoice{*ref, architecture, query.model_type};
    }
    if (query.architectures.empty() && !query.model_type.empty()) {
      KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, FindOne(found_, origin, &PluginNote::model_types,
                                                          query.model_type, graphs_only));
      if (ref != nullptr) return ModelChoice{*ref, "", query.model_type};
    }
  }
  return NotFound(query);
}

absl::Status PluginCatalog::NotFound(const ModelQuery& query) const {
  const std::vector<PluginOrigin> origins = Origins(query.impl);
  Names places;
  for (const PluginOrigin origin : origins) places.push_back(DescribePlace(origin, found_));
  std::string message = absl::StrCat("no plugin serves ", Describe(query), "; looked in ",
                                     absl::StrJoin(places, ", "));

  // A plugin of a place that was left out would do, or one that was not asked for.
  for (const PluginOrigin origin : kAllOrigins) {
    const bool searched = std::find(origins.begin(), origins.end(), origin) != origins.end();
    if (searched && !IsForGraphsOnly(query, origin)) continue;
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

absl::StatusOr<const PluginRef*> PluginCatalog::FindAttention(absl::string_view name) const {
  return FindFirst(found_, &PluginNote::attention, name);
}

absl::StatusOr<const PluginRef*> PluginCatalog::FindProcessor(absl::string_view name) const {
  return FindFirst(found_, &PluginNote::processors, name);
}

std::vector<std::string> PluginCatalog::Architectures() const {
  return AllNames(found_, &PluginNote::architectures);
}

std::vector<std::string> PluginCatalog::AttentionNames() const {
  return AllNames(found_, &PluginNote::attention);
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

}  // namespace keel
