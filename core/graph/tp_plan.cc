#include "core/graph/tp_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace keel {
namespace {

using proto::Declaration;

constexpr char kTpPlan[] = "base_model_tp_plan", kEpPlan[] = "base_model_ep_plan";

// A style of transformers by its name there.
struct KnownStyle {
  TpStyle style;
  // About a module rather than a weight: where its parts are summed or that they are local tensors.
  // Nothing to do for it, as sums are placed where the graph needs them.
  bool of_module = false;
  const char* refused = nullptr;  // why Keel has none of it
};

const KnownStyle* FindStyle(const std::string& name) {
  constexpr KnownStyle kModule{TpStyle::kReplicate, true};
  static const auto* styles = new std::map<std::string, KnownStyle>{
      {"colwise", {TpStyle::kColwise}},
      {"local_colwise", {TpStyle::kColwise}},
      {"colwise_gather_output", {TpStyle::kColwiseGather}},
      {"colwise_rep", {TpStyle::kColwiseGather}},
      {"packed_colwise", {TpStyle::kPackedColwise}},
      {"local_packed_colwise", {TpStyle::kPackedColwise}},
      {"rowwise", {TpStyle::kRowwise}},
      {"local_rowwise", {TpStyle::kRowwise}},
      {"rowwise_split_input", {TpStyle::kRowwiseSplitInput}},
      {"rowwise_rep", {TpStyle::kRowwiseSplitInput}},
      {"packed_rowwise", {TpStyle::kPackedRowwise}},
      {"local_packed_rowwise", {TpStyle::kPackedRowwise}},
      {"embedding_rowwise", {TpStyle::kEmbeddingRows}},
      {"embedding_colwise", {TpStyle::kEmbeddingColumns}},
      {"replicate", {TpStyle::kReplicate}},
      {"replicated_with_grad_allreduce", {TpStyle::kReplicate}},
      // The latent and the rotated part are every rank's.
      {"mla_kv_a_proj", {TpStyle::kReplicate}},
      {"moe_tp_experts", {TpStyle::kExperts}},
      {"gather", kModule},
      {"local", kModule},
      {"local_params", kModule},
      {"all_reduce", kModule},
      {"moe_identity_expert", kModule},
      {"ep_router", kModule},  // every rank routes alike
      {"grouped_gemm", {TpStyle::kExpertsApart}},
      {"ep_dispatch_experts", {TpStyle::kExpertsApart}},
      {"sequence_parallel",
       {TpStyle::kReplicate, false,
        "the tokens of a step are not divided among ranks: each rank norms all of them, so say "
        "replicate"}},
  };
  const auto it = styles->find(name);
  return it == styles->end() ? nullptr : &it->second;
}

// The matrices of a mixture of experts as plans name them.
struct Matrix {
  const std::string& name;  // as declared, "{e}.up_proj"
  const char* fused;        // of all experts in one tensor
};

std::vector<Matrix> MatricesOf(const proto::Moe& moe) {
  std::vector<Matrix> out;
  if (!moe.gate().empty()) out.push_back({moe.gate(), "gate_up_proj"});
  out.push_back({moe.up(), moe.gate().empty() ? "up_proj" : "gate_up_proj"});
  out.push_back({moe.down(), "down_proj"});
  return out;
}

class Plan {
 public:
  Plan(const char* name, const proto::ModelSpec& spec,
       const google::protobuf::RepeatedPtrField<proto::ModelSpec::TpRule>& rules)
      : name_(name), spec_(spec) {
    for (const proto::ModelSpec::TpRule& rule : rules)
      rules_[rule.pattern()] = {rule.style(), false};
  }

  absl::Status CheckStyles() const {
    for (const auto& [pattern, rule] : rules_) {
      const KnownStyle* known = FindStyle(rule.style);
      if (known == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(name_, ": style '", rule.style, "' of ",
                                                       pattern, " is not known to this host"));
      }
      if (known->refused != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(
            name_, ": style '", rule.style, "' of ", pattern, " is not served: ", known->refused));
      }
    }
    return absl::OkStatus();
  }

  // The host's own objects may not be declared yet.
  absl::Status CheckAllMatched() const {
    for (const auto& [pattern, rule] : rules_) {
      if (rule.matched || pattern == spec_.lm_head() || pattern == "lm_head" ||
          pattern == "embed_tokens" ||
          pattern == PlanKey(spec_.embed_tokens(), spec_.base_model_prefix()))
        continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": ", pattern, " matches no layer of the model"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<PlannedStyle> StyleOf(const Declaration& d) {
    const std::string key = KeyOf(d);
    MatchModules(key);
    const std::string* name = Find(key);
    if (d.has_moe()) return StyleOfExperts(d, key, name);
    if (name == nullptr) return PlannedStyle{TpStyle::kReplicate, NoRule(d)};
    const TpStyle style = FindStyle(*name)->style;
    if (absl::Status status = CheckFits(d, key, *name); !status.ok()) return status;
    return PlannedStyle{style, Rule(key, *name)};
  }

  // Whether this plan, of experts, divides them among ranks; its rules about them are then met.
  absl::StatusOr<bool> DividesExperts(const Declaration& d) {
    const std::string key = KeyOf(d);
    MatchModules(key);
    const std::string* own = Find(key);
    int parts = 0, apart = 0;
    for (const Matrix& matrix : MatricesOf(d.moe())) {
      ++parts;
      const std::string* style = FindMatrix(key, matrix);
      if (style == nullptr) continue;
      if (*style != "grouped_gemm") {
        return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, ".", matrix.fused, " is ",
                                                       *style, ", expected grouped_gemm"));
      }
      ++apart;
    }
    for (const char* bias : {"gate_up_proj_bias", "up_proj_bias", "down_proj_bias"})
      if (d.moe().bias()) Find(absl::StrCat(key, ".", bias));
    if (apart != 0 && apart != parts) {
      return absl::InvalidArgumentError(absl::StrCat(name_, ": divides ", apart, " of the ", parts,
                                                     " matrices of ", key,
                                                     ", expected all or none"));
    }
    return apart == parts || (own != nullptr && *own == "ep_dispatch_experts");
  }

  // Marks what the plan says of an object that has no part in it: of a router.
  void Match(const Declaration& d) {
    const std::string key = KeyOf(d);
    MatchModules(key);
    Find(key);
  }

  std::string Rule(absl::string_view pattern, absl::string_view style) const {
    return absl::StrCat(name_, ", '", pattern, "': ", style);
  }

  bool empty() const { return rules_.empty(); }

 private:
  struct RuleState {
    std::string style;
    bool matched;
  };

  // The token embedding is "embed_tokens" to every plan, whatever the checkpoint calls it.
  std::string KeyOf(const Declaration& d) const {
    if (d.name() == spec_.embed_tokens() && rules_.contains("embed_tokens")) return "embed_tokens";
    if (d.name() == spec_.lm_head() && rules_.contains("lm_head")) return "lm_head";
    return PlanKey(d.name(), spec_.base_model_prefix());
  }

  const std::string* Find(const std::string& key) {
    const auto it = rules_.find(key);
    if (it == rules_.end()) return nullptr;
    it->second.matched = true;
    return &it->second.style;
  }

  const std::string* FindMatrix(const std::string& key, const Matrix& matrix) {
    const std::string* together = Find(absl::StrCat(key, ".", matrix.fused));
    const std::string* each =
        Find(PlanKey(absl::StrCat(key, ".", absl::StrReplaceAll(matrix.name, {{"{e}", "0"}})), ""));
    return together != nullptr ? together : each;
  }

  // Rules about a module that `key` is a part of.
  void MatchModules(absl::string_view key) {
    for (size_t end = key.rfind('.'); end != key.npos; end = key.rfind('.')) {
      key = key.substr(0, end);
      const auto it = rules_.find(std::string(key));
      if (it != rules_.end() && FindStyle(it->second.style)->of_module) it->second.matched = true;
    }
  }

  std::string NoRule(const Declaration& d) const {
    return absl::StrCat(name_, ", no rule for ", d.name());
  }

  absl::Status CheckFits(const Declaration& d, const std::string& key,
                         const std::string& name) const {
    const KnownStyle& known = *FindStyle(name);
    const TpStyle style = known.style;
    const auto bad = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(name_, ": ", key, " is ", name, what));
    };
    if (known.of_module) {
      if (d.has_linear() && name != "ep_router") return bad(", expected of a module, not a linear");
      return absl::OkStatus();
    }
    if (style == TpStyle::kReplicate) return absl::OkStatus();
    if (style == TpStyle::kExperts || style == TpStyle::kExpertsApart)
      return bad(", but it is no mixture of experts");
    if (d.has_embedding()) {
      const bool of_embedding =
          style == TpStyle::kEmbeddingRows || style == TpStyle::kEmbeddingColumns;
      return of_embedding ? absl::OkStatus()
                          : bad(", expected embedding_rowwise, embedding_colwise or replicate");
    }
    if (style == TpStyle::kEmbeddingRows || style == TpStyle::kEmbeddingColumns)
      return bad(", but it is no embedding");
    if (d.has_linear()) return absl::OkStatus();
    if (!d.has_param()) return bad(", but it can't be split, expected replicate");
    const bool of_heads = d.param().type().dims_size() == 1;  // one dimension is first and last
    if (style == TpStyle::kColwise || (style == TpStyle::kRowwise && of_heads))
      return absl::OkStatus();
    return bad(", expected colwise or replicate of a parameter");
  }

  absl::StatusOr<PlannedStyle> StyleOfExperts(const Declaration& d, const std::string& key,
                                              const std::string* own) {
    const bool says_experts = own != nullptr && *own == "moe_tp_experts";
    if (own != nullptr && !says_experts && *own != "replicate" && !FindStyle(*own)->of_module) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": ", key, " is ", *own, ", expected moe_tp_experts or replicate"));
    }
    int parts = 0, split = 0;
    bool transposed = false;  // [experts, in, out]: what is split is the last dimension
    for (const Matrix& matrix : MatricesOf(d.moe())) {
      ++parts;
      const std::string* name = FindMatrix(key, matrix);
      if (name == nullptr) continue;
      const TpStyle style = FindStyle(*name)->style;
      if (style == TpStyle::kReplicate) continue;
      const bool down = matrix.fused == std::string("down_proj");
      if (!down) transposed = style == TpStyle::kPackedRowwise;
      const bool fits = down ? style == (transposed ? TpStyle::kColwise : TpStyle::kRowwise)
                             : style == TpStyle::kColwise || style == TpStyle::kPackedColwise ||
                                   style == TpStyle::kPackedRowwise;
      if (!fits) {
        return absl::InvalidArgumentError(
            absl::StrCat(name_, ": ", key, ".", matrix.name, " is ", *name, ", expected ",
                         !down        ? "packed_colwise, colwise or packed_rowwise"
                         : transposed ? "colwise, as gate_up_proj is packed_rowwise"
                                      : "rowwise"));
      }
      ++split;
    }
    if (split == parts || (split == 0 && says_experts))
      return PlannedStyle{TpStyle::kExperts, Rule(key, "moe_tp_experts")};
    if (split == 0) return PlannedStyle{TpStyle::kReplicate, NoRule(d)};
    return absl::InvalidArgumentError(absl::StrCat(name_, ": splits ", split, " of the ", parts,
                                                   " matrices of ", key, ", expected all or none"));
  }

  const char* const name_;
  const proto::ModelSpec& spec_;
  std::map<std::string, RuleState> rules_;  // by pattern
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

absl::StatusOr<std::vector<PlannedStyle>> TpStylesOf(const proto::Graph& graph,
                                                     bool experts_apart) {
  Plan tp(kTpPlan, graph.spec(), graph.spec().tp_plan());
  Plan ep(kEpPlan, graph.spec(), graph.spec().ep_plan());
  KEEL_RETURN_IF_ERROR(tp.CheckStyles());
  KEEL_RETURN_IF_ERROR(ep.CheckStyles());
  std::vector<PlannedStyle> styles;
  bool divides = false;
  for (const Declaration& d : graph.declarations()) {
    KEEL_ASSIGN_OR_RETURN(PlannedStyle style, tp.StyleOf(d));
    if (d.has_moe()) {
      KEEL_ASSIGN_OR_RETURN(const bool apart, ep.DividesExperts(d));
      divides |= apart;
      if (apart && experts_apart)
        style = {TpStyle::kExpertsApart, ep.Rule(d.name(), "ep_dispatch_experts")};
    } else {
      ep.Match(d);
    }
    styles.push_back(std::move(style));
  }
  KEEL_RETURN_IF_ERROR(tp.CheckAllMatched());
  KEEL_RETURN_IF_ERROR(ep.CheckAllMatched());
  if (experts_apart && !divides) {
    return absl::InvalidArgumentError(
        absl::StrCat("--enable-expert-parallel: ",
                     ep.empty() ? "the model states no base_model_ep_plan"
                                : "its base_model_ep_plan divides no experts",
                     "; without the flag ranks share every expert"));
  }
  return styles;
}

}  // namespace keel
