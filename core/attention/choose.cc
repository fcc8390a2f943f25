#include "core/attention/choose.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr const char kDeclared[] = "the model declares it";
constexpr const char kFlag[] = "--attention-implementation";
constexpr const char kSpec[] = "attn_implementation of the model's spec";
constexpr const char kConfig[] = "config.json: _attn_implementation";
constexpr const char kHost[] = "the host's choice";

// Names with which transformers says how it would run the model itself.
bool IsTransformers(absl::string_view name) {
  return name == "eager" || name == "sdpa" || name == "flex_attention" ||
         absl::StartsWith(name, "flash_attention_") || absl::StartsWith(name, "paged") ||
         absl::StrContains(name, '/');  // a kernel of the Hub
}

// A name that binds and who said it, or none.
struct Named {
  absl::string_view name, reason;
  std::string warning;
};

absl::StatusOr<Named> FindNamed(const AttentionUse& use, const AttentionWish& wish,
                                const AttentionRegistry& registry) {
  if (use.desc->impl != nullptr && use.desc->impl[0] != '\0')
    return Named{use.desc->impl, kDeclared, ""};
  if (!wish.flag.empty()) return Named{wish.flag, kFlag, ""};
  Named none;
  for (const auto& [name, where] :
       {std::pair<absl::string_view, absl::string_view>{wish.spec, kSpec},
        {wish.config, kConfig}}) {
    if (name.empty() || registry.IsHosts(name)) continue;
    if (registry.Contains(name)) return Named{name, where, none.warning};
    if (IsTransformers(name)) continue;
    if (absl::StrContains(name, '.')) return Annotate(registry.Find(name).status(), where);
    none.warning = absl::StrCat(where, " is \"", name, "\", which no plugin brings; ", kHost,
                                " is used instead");
  }
  return none;
}

absl::StatusOr<AttentionChoice> ChooseInvariant(const AttentionUse& use, const Named& named,
                                                const AttentionRegistry& registry) {
  if (!named.name.empty() && named.name != "paged") {
    if (auto found = registry.Find(named.name); !found.ok())
      return Annotate(found.status(), named.reason);
    return absl::InvalidArgumentError(
        absl::StrCat(named.reason, ": \"", named.name,
                     "\" rounds by what else is in a step; --deterministic takes paged alone: "
                     "name that, or run without --deterministic"));
  }
  KEEL_RETURN_IF_ERROR(registry.invariant()->Supports(use));
  return AttentionChoice{"paged", "--deterministic", named.warning, registry.invariant()};
}

}  // namespace

absl::StatusOr<AttentionChoice> ChooseAttention(const AttentionUse& use, const AttentionWish& wish,
                                                const AttentionRegistry& registry) {
  KEEL_ASSIGN_OR_RETURN(const Named named, FindNamed(use, wish, registry));
  if (wish.numerics == Numerics::kInvariant) return ChooseInvariant(use, named, registry);
  if (!named.name.empty()) {
    auto found = registry.Find(named.name);
    if (!found.ok()) return Annotate(found.status(), named.reason);
    if (absl::Status lacks = (*found)->Supports(use); !lacks.ok())
      return Annotate(lacks, named.reason);
    return AttentionChoice{std::string(named.name), std::string(named.reason), named.warning,
                           *std::move(found)};
  }
  std::vector<std::string> reasons;
  for (const char* name : AttentionRegistry::kHosts) {
    KEEL_ASSIGN_OR_RETURN(auto implementation, registry.Find(name));
    const absl::Status lacks = implementation->Supports(use);
    if (lacks.ok()) return AttentionChoice{name, kHost, named.warning, std::move(implementation)};
    reasons.emplace_back(lacks.message());
  }
  return absl::UnimplementedError(
      absl::StrCat("no attention implementation serves this: ", absl::StrJoin(reasons, "; ")));
}

}  // namespace keel
