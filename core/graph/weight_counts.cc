#include "core/graph/weight_counts.h"

#include <set>

namespace keel {
namespace {

int64_t OneExpert(const proto::Moe& moe) {
  const int64_t matrices = (moe.gate().empty() ? 0 : 1) + 2;
  return matrices * moe.hidden_size() * moe.intermediate_size();
}

int64_t Applied(const proto::Declaration& d) {
  if (d.has_linear()) return d.linear().in() * d.linear().out();
  return d.has_moe() ? d.moe().top_k() * OneExpert(d.moe()) : 0;
}

int64_t Stored(const proto::Declaration& d) {
  return d.has_moe() ? d.moe().experts() * OneExpert(d.moe()) : Applied(d);
}

}  // namespace

bool GivesLogits(const proto::Function& function) {
  return function.name() == "head" || function.name() == "logits";
}

WeightCounts CountWeights(const proto::Graph& graph) {
  WeightCounts counts;
  std::set<uint32_t> seen;
  for (const proto::Function& function : graph.functions()) {
    const bool is_logits = GivesLogits(function);
    if (!is_logits && function.name() != "forward") continue;
    for (const proto::Node& node : function.nodes()) {
      if (node.object() == 0) continue;
      const proto::Declaration& d = graph.declarations(static_cast<int>(node.object()) - 1);
      (is_logits ? counts.logits : counts.token) += Applied(d);
      if (seen.insert(node.object()).second) counts.stored += Stored(d);
      counts.has_experts = counts.has_experts || d.has_moe();
    }
  }
  return counts;
}

}  // namespace keel
