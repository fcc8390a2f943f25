#include "core/graph/tp_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace keel {
namespace {

using proto::Declaration;

std::optional<TpStyle> FindStyle(absl::string_view name) {
  static const auto* styles = new std::map<std::string, TpStyle>{
      {"colwise", TpStyle::kColwise},
      {"rowwise", TpStyle::kRowwise},
      {"colwise_gather_output", TpStyle::kColwiseGather},
      {"colwise_rep", TpStyle::kColwiseGather},
      {"replicate", TpStyle::kReplicate},
      {"replicated_with_grad_allreduce", TpStyle::kReplicate},
      // The vocabulary stays whole on every rank.
      {"embedding_rowwise", TpStyle::kReplicate},
      {"moe_tp_experts", TpStyle::kExperts},
  };
  const auto it = styles->find(std::string(name));
  return it == styles->end() ? std::nullopt : std::optional<TpStyle>(it->second);
}

class Plan {
 public:
  explicit Plan(const proto::ModelSpec& spec) : spec_(spec) {
    for (const proto::ModelSpec::TpRule& rule : spec.tp_plan())
      rules_[rule.pattern()] = {rule.style(), false};
  }

  absl::StatusOr<TpStyle> StyleOf(const Declaration& d) {
    const std::string key = PlanKey(d.name(), spec_.base_model_prefix());
    const std::string* name = Find(key);
    if (d.has_moe()) return StyleOfExperts(d, key, name);
    if (name == nullptr) return TpStyle::kReplicate;
    const std::optional<TpStyle> style = FindStyle(*name);
    if (!style.has_value()) return Unknown(key, *name);
    if (*style == TpStyle::kExperts) {
      return absl::InvalidArgumentError(absl::StrCat(
          "base_model_tp_plan: ", key, " is moe_tp_experts, but it is no mixture of experts"));
    }
    if (*style == TpStyle::kReplicate || d.has_linear()) return *style;
    if (*style == TpStyle::kColwise && d.has_param()) return *style;  // by its first dimension
    return absl::InvalidArgumentError(
        absl::StrCat("base_model_tp_plan: ", key, " is ", *name,
                     d.has_param() ? ", expected colwise or replicate of a parameter"
                                   : ", but it can't be split, expected replicate"));
  }

  absl::Status CheckAllMatched() const {
    for (const auto& [pattern, rule] : rules_) {
      if (!FindStyle(rule.style) && rule.style != "packed_colwise")
        return Unknown(pattern, rule.style);
      if (!rule.matched && pattern != spec_.lm_head() && pattern != "embed_tokens") {
        return absl::InvalidArgumentError(
            absl::StrCat("base_model_tp_plan: ", pattern, " matches no layer of the model"));
      }
    }
    return absl::OkStatus();
  }

 private:
  struct Rule {
    std::string style;
    bool matched;
  };

  const std::string* Find(const std::string& key) {
    const auto it = rules_.find(key);
    if (it == rules_.end()) return nullptr;
    it->second.matched = true;
    return &it->second.style;
  }

  static absl::Status Unknown(absl::string_view pattern, absl::string_view style) {
    return absl::InvalidArgumentError(absl::StrCat("base_model_tp_plan: style '", style, "' of ",
                                                   pattern, " is not known to this host"));
  }

  absl::StatusOr<TpStyle> StyleOfExperts(const Declaration& d, const std::string& key,
                                         const std::string* own) {
    if (own != nullptr && *own != "moe_tp_experts" && *own != "replicate") {
      return absl::InvalidArgumentError(absl::StrCat("base_model_tp_plan: ", key, " is ", *own,
                                                     ", expected moe_tp_experts or replicate"));
    }
    int parts = 0, split = 0;
    for (const auto& [name, fused] :
         {std::pair(d.moe().gate(), "gate_up_proj"), std::pair(d.moe().up(), "gate_up_proj"),
          std::pair(d.moe().down(), "down_proj")}) {
      if (name.empty()) continue;
      ++parts;
      const std::string *together = Find(absl::StrCat(key, ".", fused)),
                        *each = Find(PlanKey(
                            absl::StrCat(key, ".", absl::StrReplaceAll(name, {{"{e}", "0"}})), ""));
      const std::string* style = together != nullptr ? together : each;
      if (style == nullptr || *style == "replicate") continue;
      const bool down = fused == std::string("down_proj");
      if (*style != (down ? "rowwise" : "colwise") && (down || *style != "packed_colwise")) {
        return absl::InvalidArgumentError(
            absl::StrCat("base_model_tp_plan: ", key, ".", name, " is ", *style, ", expected ",
                         down ? "rowwise" : "packed_colwise or colwise"));
      }
      ++split;
    }
    if (split == parts || (split == 0 && own != nullptr && *own == "moe_tp_experts"))
      return TpStyle::kExperts;
    if (split == 0) return TpStyle::kReplicate;
    return absl::InvalidArgumentError(absl::StrCat("base_model_tp_plan: splits ", split, " of the ",
                                                   parts, " matrices of ", key,
                                                   ", expected all or none"));
  }

  const proto::ModelSpec& spec_;
  std::map<std::string, Rule> rules_;  // by pattern
};

}  // namespace

std::string PlanKey(absl::string_view name, absl::string_view prefix) {
  if (!prefix.empty()) absl::ConsumePrefix(&name, absl::StrCat(prefix, "."));
  std::vector<std::string> parts = absl::StrSplit(name, '.');
  for (std::string& part : parts) {
    if (!part.empty() &&
        std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; }))
      part = "*";
  }
  return absl::StrJoin(parts, ".");
}

absl::StatusOr<std::vector<TpStyle>> TpStylesOf(const proto::Graph& graph) {
  Plan plan(graph.spec());
  std::vector<TpStyle> styles;
  for (const Declaration& d : graph.declarations()) {
    KEEL_ASSIGN_OR_RETURN(const TpStyle style, plan.StyleOf(d));
    styles.push_back(style);
  }
  KEEL_RETURN_IF_ERROR(plan.CheckAllMatched());
  return styles;
}

}  // namespace keel
