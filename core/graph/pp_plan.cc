#include "core/graph/pp_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/stages.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Node;
using Child = proto::ModelSpec::PpStage;

// What the host gives every stage, under transformers' names.
constexpr absl::string_view kHostInputs[] = {
    "input_ids",      "attention_mask",  "position_ids",  "position_embeddings",
    "cache_position", "past_key_values", "token_type_ids"};

constexpr int kMaxChildren = 64;

bool IsHosts(absl::string_view name) {
  return std::find(std::begin(kHostInputs), std::end(kHostInputs), name) != std::end(kHostInputs);
}

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("base_model_pp_plan: ", what));
}

bool OwnsWeights(const Declaration& d) {
  return d.has_linear() || d.has_embedding() || d.has_norm() || d.has_moe() || d.has_conv() ||
         d.has_param();
}

// Modules of transformers that have no weights, and so no declaration.
bool HasNoWeights(absl::string_view child) {
  return absl::EndsWith(child, "dropout") || child == "rotary_emb";
}

class PlanChecker {
 public:
  explicit PlanChecker(const proto::Graph& graph)
      : graph_(graph), plan_(graph.spec().pp_plan()), forward_(*FindFunction(graph, "forward")) {}

  absl::Status Run() {
    if (plan_.size() > kMaxChildren) {
      return Wrong(
          absl::StrCat("has ", plan_.size(), " children, expected at most ", kMaxChildren));
    }
    KEEL_RETURN_IF_ERROR(FindChildren());
    KEEL_RETURN_IF_ERROR(CheckNames());
    KEEL_RETURN_IF_ERROR(CheckOrder());
    return CheckBorders();
  }

 private:
  // The rest of `name` behind the base model and `child`; false: it is not the child's.
  bool IsOf(absl::string_view child, absl::string_view name, absl::string_view* rest) const {
    const std::string& prefix = graph_.spec().base_model_prefix();
    if (!prefix.empty() && !absl::ConsumePrefix(&name, absl::StrCat(prefix, "."))) return false;
    if (!absl::ConsumePrefix(&name, child)) return false;
    *rest = name;
    return name.empty() || absl::ConsumePrefix(rest, ".");
  }

  absl::Status FindChildren() {
    for (int i = 0; i < plan_.size(); ++i) {
      const std::string& child = plan_[i].child();
      absl::string_view rest;
      bool found = HasNoWeights(child) || IsOf(child, graph_.spec().embed_tokens(), &rest);
      for (const Declaration& d : graph_.declarations()) {
        if (!IsOf(child, d.name(), &rest)) continue;
        found = true;
        int number = 0;
        if (!absl::SimpleAtoi(rest.substr(0, rest.find('.')), &number)) continue;
        if (layers_ >= 0 && layers_ != i) {
          return Wrong(absl::StrCat("'", plan_[layers_].child(), "' and '", child,
                                    "' both have numbered layers, expected one list of them"));
        }
        layers_ = i;
      }
      if (!found)
        return Wrong(
            absl::StrCat("'", child, "' is no module of the model that declares anything"));
    }
    if (layers_ >= 0) return absl::OkStatus();
    return Wrong(absl::StrCat("none of ", Children(0, plan_.size()),
                              " has numbered layers, expected one that has"));
  }

  absl::Status CheckNames() const {
    for (int i = 0; i < plan_.size(); ++i) {
      std::vector<std::string> given;
      if (i > 0) given.assign(plan_[i - 1].outputs().begin(), plan_[i - 1].outputs().end());
      if (given == std::vector<std::string>{"inputs_embeds"}) given.push_back("hidden_states");
      for (const std::string& input : plan_[i].inputs()) {
        if (IsHosts(input) || std::find(given.begin(), given.end(), input) != given.end()) continue;
        return Wrong(absl::StrCat("'", plan_[i].child(), "' takes ", input, ", expected ",
                                  i == 0 ? ""
                                         : absl::StrCat(absl::StrJoin(given, ", "), " of '",
                                                        plan_[i - 1].child(), "' or "),
                                  "what the host gives: ", absl::StrJoin(kHostInputs, ", ")));
      }
      if (plan_[i].outputs().empty())
        return Wrong(
            absl::StrCat("'", plan_[i].child(), "' gives nothing, expected hidden_states"));
    }
    if (plan_[layers_].outputs_size() > static_cast<int>(kMaxLive)) {
      return Wrong(absl::StrCat("'", plan_[layers_].child(), "' gives ",
                                plan_[layers_].outputs_size(), " values, expected at most ",
                                kMaxLive));
    }
    // A layer goes on from what the one before gave.
    const Child& layers = plan_[layers_];
    std::vector<std::string> taken, given(layers.outputs().begin(), layers.outputs().end());
    for (const std::string& input : layers.inputs())
      if (!IsHosts(input)) taken.push_back(input);
    std::sort(taken.begin(), taken.end());
    std::sort(given.begin(), given.end());
    if (taken == given) return absl::OkStatus();
    return Wrong(absl::StrCat("'", layers.child(), "' takes ", absl::StrJoin(taken, ", "),
                              " and gives ", absl::StrJoin(given, ", "),
                              ", expected the same: one layer goes on from the other"));
  }

  // The child whose weights the node uses; -1: the node has none, -2: of no child.
  int ChildOf(const Node& node) const {
    if (node.object() == 0) return -1;
    const Declaration& d = graph_.declarations(static_cast<int>(node.object()) - 1);
    if (!OwnsWeights(d)) return -1;
    absl::string_view rest;
    for (int i = 0; i < plan_.size(); ++i)
      if (IsOf(plan_[i].child(), d.name(), &rest)) return i;
    return -2;
  }

  absl::Status CheckOrder() const {
    const std::vector<LayerBorder> borders = BordersOf(graph_);
    if (borders.empty())
      return Wrong("forward marks no layers, expected each to be marked (KEEL_MARK_LAYER_BEGIN)");
    int last = 0;
    for (int i = 0; i < forward_.nodes_size(); ++i) {
      const int child = ChildOf(forward_.nodes(i));
      if (child == -1) continue;
      const bool before = i < borders.front().node, behind = i >= borders.back().node;
      const int first = before ? 0 : behind ? layers_ + 1 : layers_;
      const int end = before ? layers_ : behind ? plan_.size() : layers_ + 1;
      if (child >= std::max(first, last) && child < end) {
        last = child;
        continue;
      }
      return Wrong(absl::StrCat(
          "forward, node ", i, " (", NodeName(graph_, forward_.nodes(i)), ") runs ",
          before   ? "before the layers"
          : behind ? "behind the layers"
                   : "in a layer",
          last > first ? absl::StrCat(" and behind '", plan_[last].child(), "'") : "", ", where ",
          first < end ? absl::StrCat("the plan has ", Children(first, end))
                      : "the plan has nothing"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckBorders() const {
    const Child& layers = plan_[layers_];
    const std::vector<LayerBorder> borders = BordersOf(graph_);
    for (const LayerBorder& border : borders) {
      const bool behind = &border == &borders.back();
      if (border.num_live == static_cast<size_t>(layers.outputs_size())) continue;
      std::vector<std::string> texts;
      for (const uint32_t id : border.live) texts.push_back(LiveValueText(graph_, id));
      if (border.num_live > border.live.size()) texts.push_back("...");
      return Wrong(absl::StrCat(behind ? "behind layer " : "before layer ", border.layer - behind,
                                " ", border.live.size(),
                                " values are alive: ", absl::StrJoin(texts, "; "), "; expected ",
                                layers.outputs_size(), ": what '", layers.child(), "' gives (",
                                absl::StrJoin(layers.outputs(), ", "), ")"));
    }
    return absl::OkStatus();
  }

  std::string Children(int first, int end) const {
    std::vector<std::string> names;
    for (int i = first; i < end; ++i) names.push_back(absl::StrCat("'", plan_[i].child(), "'"));
    return absl::StrJoin(names, ", ");
  }

  const proto::Graph& graph_;
  const google::protobuf::RepeatedPtrField<Child>& plan_;
  const proto::Function& forward_;
  int layers_ = -1;  // the child that they are
};

}  // namespace

absl::Status CheckPpPlan(const proto::Graph& graph) {
  if (graph.spec().pp_plan().empty()) return absl::OkStatus();
  return PlanChecker(graph).Run();
}

}  // namespace keel
