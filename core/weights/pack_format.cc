#include "core/weights/pack_format.h"

#include <map>

#include "core/graph/weight_counts.h"
#include "core/weights/quantized_format.h"

namespace keel {
namespace {

using proto::Function;
using proto::Node;

// Marks the linears that `value` comes from without another object between them.
void MarkLinearsBehind(uint32_t value, const std::map<uint32_t, const Node*>& makers,
                       std::vector<bool>& marks) {
  std::vector<uint32_t> values = {value};
  std::vector<bool> seen;
  while (!values.empty()) {
    const uint32_t next = values.back();
    values.pop_back();
    if (seen.size() <= next) seen.resize(next + 1);
    const auto maker = makers.find(next);
    if (seen[next] || maker == makers.end()) continue;
    seen[next] = true;
    const Node& node = *maker->second;
    if (node.object() == 0) {
      values.insert(values.end(), node.inputs().begin(), node.inputs().end());
    } else if (node.op() == proto::OP_LINEAR && node.object() <= marks.size()) {
      marks[node.object() - 1] = true;
    }
  }
}

void MarkRouters(const Function& function, std::vector<bool>& marks) {
  std::map<uint32_t, const Node*> makers;
  for (const Node& node : function.nodes())
    for (const uint32_t value : node.outputs()) makers[value] = &node;
  for (const Node& node : function.nodes()) {
    if (node.op() != proto::OP_MOE && node.op() != proto::OP_MOE_ROUTED) continue;
    for (int i = 1; i < node.inputs_size(); ++i) MarkLinearsBehind(node.inputs(i), makers, marks);
  }
}

// Objects (number - 1) that keep their type.
std::vector<bool> NeverQuantized(const proto::Graph& graph) {
  std::vector<bool> never(graph.declarations_size());
  for (const Function& function : graph.functions()) MarkRouters(function, never);
  for (int i = 0; i < graph.declarations_size(); ++i) {
    const proto::Declaration& d = graph.declarations(i);
    if (d.has_linear() && d.linear().out() < kPanel) never[i] = true;
    const uint32_t kv_up = d.attention().kv_up();
    if (kv_up >= 1 && kv_up <= never.size()) never[kv_up - 1] = true;
  }
  return never;
}

// What turns hidden states into logits.
std::vector<bool> Heads(const proto::Graph& graph) {
  std::vector<bool> heads(graph.declarations_size());
  for (const Function& function : graph.functions()) {
    if (!GivesLogits(function)) continue;
    for (const Node& node : function.nodes()) {
      if (node.op() == proto::OP_LINEAR && node.object() >= 1 && node.object() <= heads.size())
        heads[node.object() - 1] = true;
    }
  }
  return heads;
}

}  // namespace

std::vector<PackedFormat> LinearFormats(const proto::Graph& graph, Quantization quantization,
                                        DType dtype) {
  const std::vector<bool> never = NeverQuantized(graph), head = Heads(graph);
  std::vector<PackedFormat> formats(graph.declarations_size());
  for (size_t i = 0; i < formats.size(); ++i) {
    formats[i] = never[i]  ? PlainFormat(dtype)
                 : head[i] ? HeadFormat(quantization, dtype)
                           : QuantizedFormat(quantization, dtype);
  }
  return formats;
}

}  // namespace keel
