#include "core/attention/choose.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr const char kDeclared[] = "the model declares it";
constexpr const char kFlag[] = "--attention-implementation";
constexpr const char kSpec[] = "attn_implementation of the model's spec";
constexpr const char kConfig[] = "config.json: _attn_implementation";
constexpr const char kHost[] = "the host's choice";

constexpr absl::string_view kText = "text";
constexpr absl::string_view kParts[] = {kText, "image", "video", "audio"};

// Names with which transformers says how it would run the model itself.
bool IsTransformers(absl::string_view name) {
  return name == "eager" || name == "sdpa" || name == "flex_attention" ||
         absl::StartsWith(name, "flash_attention_") || absl::StartsWith(name, "paged") ||
         absl::StrContains(name, '/');  // a kernel of the Hub
}

// A name that binds and who said it, or none.
struct Named {
  std::string name;
  absl::string_view reason;
  std::string warning;
};

absl::StatusOr<Named> FindNamed(const AttentionUse& use, const AttentionWish& wish,
                                const AttentionRegistry& registry) {
  if (use.desc->impl != nullptr && use.desc->impl[0] != '\0')
    return Named{use.desc->impl, kDeclared, ""};
  KEEL_ASSIGN_OR_RETURN(const std::vector<AttentionOfPart> flag, ParseAttentionFlag(wish.flag));
  for (const AttentionOfPart& said : flag) {
    if (said.part.empty() || said.part == use.part) return Named{said.name, kFlag, ""};
  }
  Named none;
  if (use.part != kText) return none;
  for (const auto& [name, where] :
       {std::pair<absl::string_view, absl::string_view>{wish.spec, kSpec},
        {wish.config, kConfig}}) {
    if (name.empty() || registry.IsHosts(name)) continue;
    if (registry.Contains(name)) return Named{std::string(name), where, none.warning};
    if (IsTransformers(name)) continue;
    if (absl::StrContains(name, '.')) return Annotate(registry.Find(name).status(), where);
    none.warning = absl::StrCat(where, " is \"", name, "\", which no plugin brings; ", kHost,
                                " is used instead");
  }
  return none;
}

// The one that is named.
absl::StatusOr<AttentionChoice> ChooseNamed(const AttentionUse& use, const Named& named,
                                            const AttentionRegistry& registry, bool invariant) {
  auto found = registry.Find(named.name);
  if (!found.ok()) return Annotate(found.status(), named.reason);
  if (invariant && !(*found)->is_invariant()) {
    return absl::InvalidArgumentError(
        absl::StrCat(named.reason, ": \"", named.name,
                     "\" rounds by what else is in a step; --deterministic takes paged, or a class "
                     "that promises KEEL_KERNEL_INVARIANT: name one, or run without "
                     "--deterministic"));
  }
  KEEL_RETURN_IF_ERROR(Annotate((*found)->Supports(use), named.reason));
  return AttentionChoice{named.name, std::string(named.reason), named.warning, *std::move(found)};
}

}  // namespace

absl::StatusOr<std::vector<AttentionOfPart>> ParseAttentionFlag(absl::string_view text) {
  std::vector<AttentionOfPart> out;
  if (text.empty()) return out;
  if (!absl::StrContains(text, '=')) return std::vector<AttentionOfPart>{{"", std::string(text)}};
  std::set<std::string> parts;
  for (const absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> said = absl::StrSplit(piece, absl::MaxSplits('=', 1));
    const auto& [part, name] = said;
    if (std::find(std::begin(kParts), std::end(kParts), part) == std::end(kParts) || name.empty() ||
        !parts.insert(part).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(kFlag, " is \"", text, "\", of which \"", piece,
                       "\" is no part of a model with a name; expected one name, or ",
                       absl::StrJoin(kParts, "=NAME, "), "=NAME, each at most once"));
    }
    out.push_back({part, name});
  }
  return out;
}

absl::StatusOr<AttentionChoice> ChooseAttention(const AttentionUse& use, const AttentionWish& wish,
                                                const AttentionRegistry& registry) {
  KEEL_ASSIGN_OR_RETURN(const Named named, FindNamed(use, wish, registry));
  const bool invariant = wish.numerics == Numerics::kInvariant;
  if (invariant && (named.name.empty() || named.name == "paged")) {
    KEEL_ASSIGN_OR_RETURN(auto paged, registry.Find("paged"));
    KEEL_RETURN_IF_ERROR(paged->Supports(use));
    return AttentionChoice{"paged", "--deterministic", named.warning, std::move(paged)};
  }
  if (!named.name.empty()) return ChooseNamed(use, named, registry, invariant);
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
