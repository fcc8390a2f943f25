// The clauses about how a model is divided: tensor and pipeline parallel plans.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/check/clauses.h"
#include "core/check/words.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/stages.h"
#include "core/graph/tp_plan.h"

namespace keel::clauses {
namespace {

constexpr int kTold[] = {2, 4, 8};

// Objects that a pattern of the plan splits. Experts are one object with a pattern for each matrix.
int Matches(const proto::Graph& graph, const std::string& pattern) {
  int matches = 0;
  for (const proto::Declaration& d : graph.declarations()) {
    const std::string key = PlanKey(d.name(), graph.spec().base_model_prefix());
    if (key == pattern || (d.has_moe() && absl::StartsWith(pattern, absl::StrCat(key, "."))))
      ++matches;
  }
  return matches;
}

std::vector<std::string> DescribeRules(const proto::Graph& graph) {
  std::vector<std::string> lines;
  for (const proto::ModelSpec::TpRule& rule : graph.spec().tp_plan()) {
    lines.push_back(absl::StrCat(rule.pattern(), ": ", rule.style(), ", ",
                                 Count(Matches(graph, rule.pattern()), "object")));
  }
  return lines;
}

// Degrees that the operator asked for.
std::set<int> Asked(const CheckOptions& options) {
  std::set<int> asked(options.tensor_parallel.begin(), options.tensor_parallel.end());
  asked.insert(options.engine.executor.tensor_parallel);
  asked.erase(1);
  return asked;
}

absl::Status TryRanks(const Inspection& x, int ranks) {
  const bool apart = x.options.engine.executor.expert_parallel;
  return ShardGraph(x.graph, {.ranks = ranks, .experts_apart = apart}).status();
}

}  // namespace

Finding TpPlan(Inspection& x) {
  if (x.graph.spec().tp_plan().empty()) return Pass("none: every rank would hold the whole model");
  std::vector<std::string> rules = DescribeRules(x.graph);
  // The smallest degree that the sizes allow proves it, or fails to.
  absl::Status status = TryRanks(x, 1);
  std::string proven;
  for (int ranks = 2; status.ok() && ranks <= 8; ++ranks) {
    const absl::Status sharded = TryRanks(x, ranks);
    if (absl::IsFailedPrecondition(sharded)) continue;
    status = sharded;
    proven = absl::StrCat(", proven for ", ranks, " ranks");
    break;
  }
  if (!status.ok()) {
    return Fail(std::string(status.message()),
                Mend(x, "mend the plan that the plugin's config states"), std::move(rules));
  }
  return Pass(absl::StrCat(Count(x.graph.spec().tp_plan_size(), "pattern"), proven),
              std::move(rules));
}

Finding TpDegrees(Inspection& x) {
  const std::set<int> asked = Asked(x.options);
  std::set<int> degrees = asked;
  degrees.insert(std::begin(kTold), std::end(kTold));
  std::vector<std::string> details, works, refused;
  for (const int ranks : degrees) {
    const absl::Status status = TryRanks(x, ranks);
    details.push_back(absl::StrCat(ranks, ": ", status.ok() ? "yes" : status.message()));
    if (status.ok()) {
      works.push_back(absl::StrCat(ranks));
    } else if (asked.count(ranks) > 0) {
      refused.push_back(absl::StrCat(ranks));
    }
  }
  const std::string text = works.empty() ? "1 alone" : absl::StrJoin(works, ", ");
  if (!refused.empty()) {
    return Fail(absl::StrCat("asked for ", absl::StrJoin(refused, ", "), "; possible: ", text),
                "ask for a degree that divides the heads", std::move(details));
  }
  return Pass(text, std::move(details));
}

Finding PpPlan(Inspection& x) {
  const proto::ModelSpec& spec = x.graph.spec();
  const int asked = x.options.engine.executor.pipeline_parallel;
  if (spec.pp_plan().empty() && asked <= 1) return Pass("none: no pipelines of this model");
  std::vector<std::string> parts;
  for (const proto::ModelSpec::PpStage& part : spec.pp_plan()) {
    parts.push_back(absl::StrCat(part.child(), ": ", absl::StrJoin(part.inputs(), ", "), " -> ",
                                 absl::StrJoin(part.outputs(), ", ")));
  }
  if (absl::Status status = CheckPpPlan(x.graph); !status.ok()) {
    return Fail(std::string(status.message()),
                Mend(x, "mend the plan that the plugin's config states"), std::move(parts));
  }
  if (absl::Status status = CutStages(x.graph, std::max(asked, 1)).status();
      asked > 1 && !status.ok())
    return Fail(std::string(status.message()), "lower --pipeline-parallel-size", std::move(parts));
  return Pass(absl::StrCat(Count(spec.pp_plan_size(), "part"), ", ",
                           Count(spec.num_layers(), "layer"), " to divide"),
              std::move(parts));
}

}  // namespace keel::clauses
