#include "core/plugin/catalog.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/nearest.h"
#include "core/base/status.h"

namespace keel {
namespace {

using Names = std::vector<std::string>;

template <typename List, typename Item>
bool Contains(const List& list, const Item& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// The plugin of `origin` that has `name` in `list` and, if given, is of `kind`; null if none has.
absl::StatusOr<const PluginRef*> FindOne(const FoundPlugins& found, PluginOrigin origin,
                                         Names PluginNote::*list, absl::string_view name,
                                         std::optional<PluginKind> kind = std::nullopt) {
  const PluginRef* match = nullptr;
  for (const PluginRef& ref : found.plugins) {
    if (ref.origin != origin || !Contains(ref.note.*list, name)) continue;
    if (kind.has_value() && ref.kind != *kind) continue;
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

struct SourceRow {
  absl::string_view name, word;
  std::array<PluginOrigin, 2> origins;  // in order
  PluginKind kind;
  std::array<ModelImpl, 2> impls;  // that take it, beside kAuto
};

// By ImplSource.
constexpr SourceRow kSources[] = {
    {"--plugin-path",
     "plugin",
     {PluginOrigin::kPluginPath, PluginOrigin::kPluginPath},
     PluginKind::kLibrary,
     {ModelImpl::kPlugin, ModelImpl::kPlugin}},
    {"in-tree",
     "native",
     {PluginOrigin::kInTree, PluginOrigin::kInTree},
     PluginKind::kLibrary,
     {ModelImpl::kNative, ModelImpl::kNative}},
    {"a graph file",
     "graph",
     {PluginOrigin::kGraphDir, PluginOrigin::kCheckpoint},
     PluginKind::kGraph,
     {ModelImpl::kPlugin, ModelImpl::kTransformers}},
    {"the checkpoint",
     "plugin",
     {PluginOrigin::kCheckpoint, PluginOrigin::kCheckpoint},
     PluginKind::kLibrary,
     {ModelImpl::kPlugin, ModelImpl::kPlugin}},
};

const SourceRow& RowOf(ImplSource source) { return kSources[static_cast<size_t>(source)]; }

// What is asked for, in words.
std::string Describe(const ModelQuery& query) {
  if (!query.architectures.empty()) return absl::StrJoin(query.architectures, ", ");
  if (!query.model_type.empty()) return absl::StrCat("model_type '", query.model_type, "'");
  return "a model whose config.json has neither architectures nor model_type";
}

// What makes a graph of the Python class.
std::string ExportCommand(const ModelQuery& query) {
  return absl::StrCat("keel export-transformers ", query.dir.empty() ? "CHECKPOINT" : query.dir);
}

// What came of looking at `source`.
std::string Outcome(ImplSource source, const std::optional<ModelChoice>& choice,
                    const ModelQuery& query) {
  if (choice.has_value())
    return absl::StrCat("serves ", Describe(query), " by ", choice->plugin.name);
  return source == ImplSource::kGraphFile ? "was not found" : "has none for it";
}

// "auto: in-tree serves Foo by libfoo.so; before it, --plugin-path has no plugins".
std::string ReasonOf(const ModelChoice& choice, ModelImpl impl) {
  Names before;
  std::string chosen;
  for (const ImplStep& step : choice.steps) {
    const std::string said = absl::StrCat(ImplSourceName(step.source), " ", step.outcome);
    if (step.source == choice.source) {
      chosen = said;
      break;
    }
    before.push_back(said);
  }
  return absl::StrCat(ModelImplName(impl), ": ", chosen, before.empty() ? "" : "; before it, ",
                      absl::StrJoin(before, ", "));
}

}  // namespace

absl::StatusOr<ModelImpl> ParseModelImpl(absl::string_view text) {
  for (const ModelImpl impl :
       {ModelImpl::kAuto, ModelImpl::kNative, ModelImpl::kPlugin, ModelImpl::kTransformers}) {
    if (text == ModelImplName(impl)) return impl;
  }
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
    case ModelImpl::kTransformers:
      return "transformers";
  }
  return "";
}

absl::string_view ImplSourceName(ImplSource source) { return RowOf(source).name; }
absl::string_view ImplWord(ImplSource source) { return RowOf(source).word; }

std::string PluginCatalog::LeftOut(ImplSource source, const ModelQuery& query) const {
  if (query.impl != ModelImpl::kAuto && !Contains(RowOf(source).impls, query.impl))
    return absl::StrCat("left out by --model-impl ", ModelImplName(query.impl));
  // kPlugin asks for it by name: the trust in the file decides then.
  if (query.impl == ModelImpl::kAuto && source == ImplSource::kCheckpoint &&
      remote_code_ == RemoteCodePolicy::Mode::kNone) {
    return "left out without --trust-remote-code";
  }
  return "";
}

absl::StatusOr<std::optional<ModelChoice>> PluginCatalog::FindIn(ImplSource source,
                                                                 const ModelQuery& query) const {
  const SourceRow& row = RowOf(source);
  for (const PluginOrigin origin : row.origins) {
    for (const std::string& architecture : query.architectures) {
      KEEL_ASSIGN_OR_RETURN(
          const PluginRef* ref,
          FindOne(found_, origin, &PluginNote::architectures, architecture, row.kind));
      if (ref != nullptr) return ModelChoice{*ref, architecture, query.model_type, source, {}, ""};
    }
    if (query.architectures.empty() && !query.model_type.empty()) {
      KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, FindOne(found_, origin, &PluginNote::model_types,
                                                          query.model_type, row.kind));
      if (ref != nullptr) return ModelChoice{*ref, "", query.model_type, source, {}, ""};
    }
  }
  return std::nullopt;
}

absl::StatusOr<ModelChoice> PluginCatalog::FindModel(const ModelQuery& query) const {
  std::optional<ModelChoice> choice;
  std::vector<ImplStep> steps;
  for (const ImplSource source : kImplSources) {
    if (std::string why = LeftOut(source, query); !why.empty()) {
      steps.push_back({source, std::move(why)});
    } else if (choice.has_value()) {
      steps.push_back({source, "was not needed"});
    } else {
      KEEL_ASSIGN_OR_RETURN(choice, FindIn(source, query));
      steps.push_back({source, Outcome(source, choice, query)});
    }
  }
  if (!choice.has_value()) return NotFound(query);
  choice->steps = std::move(steps);
  choice->reason = ReasonOf(*choice, query.impl);
  return *std::move(choice);
}

std::string PluginCatalog::DescribePlace(ImplSource source) const {
  const SourceRow& row = RowOf(source);
  Names files;
  for (const PluginRef& ref : found_.plugins) {
    const bool is_here = Contains(row.origins, ref.origin);
    if (is_here && ref.kind == row.kind) files.push_back(ref.name);
  }
  std::string place(row.name);
  if (source == ImplSource::kInTree && !found_.in_tree_dirs.empty())
    absl::StrAppend(&place, " ", absl::StrJoin(found_.in_tree_dirs, ":"));
  const absl::string_view none = row.kind == PluginKind::kGraph ? "none found" : "no plugins";
  return absl::StrCat(place, " (", files.empty() ? std::string(none) : absl::StrJoin(files, ", "),
                      ")");
}

absl::Status PluginCatalog::NotFound(const ModelQuery& query) const {
  if (query.impl == ModelImpl::kTransformers) {
    std::string message = absl::StrCat(
        "--model-impl is transformers, but there is no graph of the Python class of ",
        Describe(query), ", in the checkpoint or --graph-dir; make one: ", ExportCommand(query));
    for (const std::string& reason : found_.skipped)
      absl::StrAppend(&message, "; skipped ", reason);
    return absl::NotFoundError(message);
  }
  Names places;
  for (const ImplSource source : kImplSources) {
    if (LeftOut(source, query).empty()) places.push_back(DescribePlace(source));
  }
  std::string message = absl::StrCat("no plugin serves ", Describe(query), "; looked in ",
                                     absl::StrJoin(places, ", "));
  // One that was left out would do.
  for (const ImplSource source : kImplSources) {
    if (LeftOut(source, query).empty()) continue;
    const absl::StatusOr<std::optional<ModelChoice>> other = FindIn(source, query);
    if (!other.ok() || !other->has_value()) continue;
    absl::StrAppend(&message, "; ", (*other)->plugin.name, " (", ImplSourceName(source),
                    ") serves it, ",
                    query.impl == ModelImpl::kAuto ? "but --trust-remote-code is not given"
                                                   : "but --model-impl excludes it");
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
                  "; write a plugin (docs/plugin-authoring.md) and give it with "
                  "--plugin-path, or make a graph of its Python class: ",
                  ExportCommand(query));
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
