#include "core/graph/sharding.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/function_sharder.h"
#include "core/graph/split.h"
#include "core/graph/tp_plan.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Function;
using proto::Node;

// Those of a tower, which has a function of its own, are not the plan's to divide.
bool IsOfForward(const proto::Graph& graph, uint32_t object) {
  return std::any_of(graph.functions().begin(), graph.functions().end(), [&](const Function& f) {
    return f.name() == "forward" &&
           std::any_of(f.nodes().begin(), f.nodes().end(), [&](const Node& node) {
             return node.op() == proto::OP_ATTENTION && node.object() == object;
           });
  });
}

absl::Status DontDivide(int ranks, absl::string_view key, const Declaration& d, int64_t heads) {
  return absl::FailedPreconditionError(absl::StrCat("tensor parallelism ", ranks, ": ", key,
                                                    " of '", d.name(), "' is ", heads, ", which ",
                                                    ranks, " ranks don't divide"));
}

// Said here in the config's words; propagation would find it too, as a view that can't be split.
absl::Status CheckHeads(const proto::Graph& graph, int ranks) {
  for (int i = 0; i < graph.declarations_size(); ++i) {
    const Declaration& d = graph.declarations(i);
    if (!d.has_attention() || !IsOfForward(graph, static_cast<uint32_t>(i + 1))) continue;
    if (d.attention().heads() % ranks != 0)
      return DontDivide(ranks, "num_attention_heads", d, d.attention().heads());
    if (PartsOfHeads(d.attention().kv_heads(), ranks) == 0)
      return DontDivide(ranks, "num_key_value_heads", d, d.attention().kv_heads());
  }
  return absl::OkStatus();
}

// What makes keys and values where there are fewer heads of them than ranks: such linears and
// parameters are cut into as many parts as heads.
class FewHeads {
 public:
  FewHeads(const proto::Graph& graph, int ranks)
      : graph_(graph), ranks_(ranks), parts_(graph.declarations_size(), ranks) {}

  std::vector<int> Find() && {
    for (const Function& function : graph_.functions()) {
      makers_.assign(function.inputs_size(), nullptr);
      seen_.clear();
      for (const Node& node : function.nodes()) {
        for (int i = 0; i < node.outputs_size(); ++i) makers_.push_back(&node);
        if (node.op() == proto::OP_ATTENTION) Follow(node);
      }
    }
    return std::move(parts_);
  }

 private:
  void Follow(const Node& attention) {
    const Declaration& d = graph_.declarations(static_cast<int>(attention.object()) - 1);
    const int parts = PartsOfHeads(d.attention().kv_heads(), ranks_);
    if (parts == 0 || parts == ranks_) return;
    std::vector<uint32_t> todo = {attention.inputs(1), attention.inputs(2)};
    seen_.resize(makers_.size() + 1);
    while (!todo.empty()) {
      const uint32_t id = todo.back();
      todo.pop_back();
      if (id == 0 || seen_[id] == parts || makers_[id - 1] == nullptr) continue;
      seen_[id] = parts;
      const Node& maker = *makers_[id - 1];
      if (maker.op() == proto::OP_LINEAR || maker.op() == proto::OP_PARAM) {
        parts_[maker.object() - 1] = parts;
      } else if (maker.op() != proto::OP_ATTENTION && maker.op() != proto::OP_RECUR) {
        todo.insert(todo.end(), maker.inputs().begin(), maker.inputs().end());
      }
    }
  }

  const proto::Graph& graph_;
  const int ranks_;
  std::vector<int> parts_;           // of object i + 1
  std::vector<const Node*> makers_;  // of value i + 1; null: an input
  std::vector<int> seen_;            // by value: the parts that it was followed for
};

}  // namespace

absl::StatusOr<RankGraph> ShardGraph(const proto::Graph& graph, const ShardOptions& options) {
  const int ranks = options.ranks;
  if (ranks < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("tensor parallelism is ", ranks, ", expected at least 1"));
  RankGraph out{graph, std::vector<WeightSplit>(graph.declarations_size())};
  KEEL_ASSIGN_OR_RETURN(const std::vector<PlannedStyle> styles,
                        TpStylesOf(graph, options.experts_apart && ranks > 1));
  if (ranks == 1) return out;
  // A plan that splits nothing but the vocabulary and experts has no say about heads.
  const bool splits_heads = std::any_of(styles.begin(), styles.end(), [](const PlannedStyle& s) {
    return s.style == TpStyle::kColwise;
  });
  if (splits_heads) KEEL_RETURN_IF_ERROR(CheckHeads(graph, ranks));
  const std::vector<int> parts = FewHeads(graph, ranks).Find();
  const ShardPlan plan{graph, styles, parts, ranks};
  for (int i = 0; i < graph.functions_size(); ++i) {
    KEEL_ASSIGN_OR_RETURN(*out.graph.mutable_functions(i),
                          FunctionSharder(plan, out).Run(graph.functions(i)));
  }
  return out;
}

std::vector<bool> UsedObjects(const proto::Graph& graph) {
  std::vector<bool> used(graph.declarations_size());
  for (const Function& function : graph.functions()) {
    for (const Node& node : function.nodes())
      if (node.object() != 0) used[node.object() - 1] = true;
  }
  // What an object uses in its turn.
  const auto use = [&used](uint32_t object) {
    if (object != 0 && object <= used.size()) used[object - 1] = true;
  };
  for (int i = 0; i < graph.declarations_size(); ++i) {
    if (!used[i]) continue;
    for (const uint32_t state : graph.declarations(i).kernel().states()) use(state);
    use(graph.declarations(i).attention().kv_up());
  }
  return used;
}

}  // namespace keel
