#include "core/graph/stages.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Function;
using proto::Node;

// Of forward: where values come from, and which of them each stage makes for itself.
class Values {
 public:
  explicit Values(const Function& forward) : forward_(forward) {
    for (const Function::Input& input : forward.inputs()) Add(-1, input.name() != "embeds");
    for (int i = 0; i < forward.nodes_size(); ++i) {
      const Node& node = forward.nodes(i);
      const bool cheap = node.object() == 0 || node.op() == proto::OP_PARAM;
      const bool own =
          cheap && std::all_of(node.inputs().begin(), node.inputs().end(),
                               [this](uint32_t id) { return id == 0 || everywhere(id); });
      for (int out = 0; out < node.outputs_size(); ++out) Add(i, own);
    }
  }

  bool everywhere(uint32_t id) const { return values_[id - 1].everywhere; }
  int maker(uint32_t id) const { return values_[id - 1].maker; }  // a node; -1: an input
  size_t size() const { return values_.size(); }

 private:
  struct Value {
    int maker;
    bool everywhere;
  };
  void Add(int maker, bool everywhere) { values_.push_back({maker, everywhere}); }

  const Function& forward_;
  std::vector<Value> values_;  // of value i + 1
};

// One stage's part of forward: nodes [begin, end), and before them those that it makes for itself.
class StageFunction {
 public:
  StageFunction(const Function& forward, const Values& values)
      : forward_(forward), values_(values), local_(values.size() + 1) {}

  Function Cut(int begin, int end, const std::vector<uint32_t>& carried,
               const std::vector<uint32_t>& outputs) {
    out_.set_name(forward_.name());
    std::vector<bool> wanted(forward_.nodes_size()), inputs(forward_.inputs_size());
    // Marks what makes `id`, where the stage makes it for itself; that is looked at later.
    const auto want = [&](uint32_t id) {
      if (id == 0 || !values_.everywhere(id)) return;
      const int maker = values_.maker(id);
      if (maker < 0) {
        inputs[id - 1] = true;
      } else {
        wanted[maker] = true;
      }
    };
    for (const uint32_t id : outputs) want(id);
    for (int i = end - 1; i >= 0; --i) {
      wanted[i] = wanted[i] || i >= begin;
      if (!wanted[i]) continue;
      for (const uint32_t id : forward_.nodes(i).inputs()) want(id);
    }
    for (size_t i = 0; i < carried.size(); ++i)
      AddInput(absl::StrCat(kCarried, i), carried[i], TypeOf(carried[i]));
    for (int i = 0; i < forward_.inputs_size(); ++i) {
      const Function::Input& input = forward_.inputs(i);
      if (begin == 0 || inputs[i])
        AddInput(input.name(), static_cast<uint32_t>(i + 1), input.type());
    }
    for (int i = 0; i < end; ++i)
      if (wanted[i]) AddNode(forward_.nodes(i));
    for (const uint32_t id : outputs) out_.add_outputs(local_[id]);
    return std::move(out_);
  }

 private:
  const proto::Type& TypeOf(uint32_t id) const {
    const int maker = values_.maker(id);
    if (maker < 0) return forward_.inputs(static_cast<int>(id) - 1).type();
    const Node& node = forward_.nodes(maker);
    return node.types(static_cast<int>(id - node.outputs(0)));
  }

  void AddInput(const std::string& name, uint32_t id, const proto::Type& type) {
    Function::Input* input = out_.add_inputs();
    input->set_name(name);
    *input->mutable_type() = type;
    local_[id] = ++last_;
  }

  void AddNode(const Node& node) {
    Node* copy = out_.add_nodes();
    *copy = node;
    for (int i = 0; i < node.inputs_size(); ++i) copy->set_inputs(i, local_[node.inputs(i)]);
    for (int i = 0; i < node.outputs_size(); ++i) {
      local_[node.outputs(i)] = ++last_;
      copy->set_outputs(i, last_);
    }
  }

  const Function& forward_;
  const Values& values_;
  Function out_;
  std::vector<uint32_t> local_;  // by global value; 0: not in this stage
  uint32_t last_ = 0;
};

// By layer that may not be the first of a stage: an attention, of it or a later one, that reads what
// an earlier layer keeps.
std::map<int, std::string> Shared(const proto::Graph& graph, const Function& forward) {
  struct Reach {
    int layer = -1;  // the last that shares
    uint32_t object = 0;
  };
  std::map<int32_t, int> keepers;  // by slot of the cache, the layer that is marked
  std::map<int, Reach> reaches;    // by layer of a keeper
  int layer = 0;
  for (const Node& node : forward.nodes()) {
    if (node.op() == proto::OP_MARK) layer = static_cast<int>(op::Mark(node).index());
    if (node.op() != proto::OP_ATTENTION) continue;
    const proto::Attention& attention =
        graph.declarations(static_cast<int>(node.object()) - 1).attention();
    if (attention.kv_share_layer() < 0) {
      keepers[attention.layer()] = layer;
    } else if (const auto keeper = keepers.find(attention.kv_share_layer());
               keeper != keepers.end()) {
      reaches[keeper->second] = {layer, node.object()};
    }
  }
  std::map<int, std::string> blocked;
  Reach farthest;
  for (int i = 1; i <= layer; ++i) {
    const auto reach = reaches.find(i - 1);
    if (reach != reaches.end() && reach->second.layer > farthest.layer) farthest = reach->second;
    if (farthest.layer >= i)
      blocked[i] = graph.declarations(static_cast<int>(farthest.object) - 1).name();
  }
  return blocked;
}

// The first layers of stages 1, 2 ...: as even as sharing allows.
absl::StatusOr<std::vector<int>> ChooseCuts(int layers, int stages,
                                            const std::map<int, std::string>& blocked) {
  std::vector<int> allowed, cuts;
  for (int layer = 1; layer < layers; ++layer)
    if (!blocked.contains(layer)) allowed.push_back(layer);
  if (static_cast<int>(allowed.size()) < stages - 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pipeline parallelism ", stages, ": the model's ", layers, " layers can be cut at ",
        allowed.size(), " places",
        blocked.empty() ? ""
                        : absl::StrCat(", as ", blocked.begin()->second,
                                       " and others share keys and values of earlier layers"),
        ", expected at least ", stages - 1));
  }
  size_t next = 0;
  for (int stage = 1; stage < stages; ++stage) {
    const int even = stage * layers / stages;
    // The nearest of those that leave as many as are needed.
    const size_t last = allowed.size() - static_cast<size_t>(stages - 1 - stage);
    size_t best = next;
    for (size_t i = next; i < last; ++i)
      if (std::abs(allowed[i] - even) < std::abs(allowed[best] - even)) best = i;
    cuts.push_back(allowed[best]);
    next = best + 1;
  }
  return cuts;
}

}  // namespace

const Function* FindFunction(const proto::Graph& graph, absl::string_view name) {
  for (const Function& function : graph.functions())
    if (function.name() == name) return &function;
  return nullptr;
}

bool SeesAhead(const proto::Graph& graph) {
  const auto& nodes = FindFunction(graph, "forward")->nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    return node.op() == proto::OP_ATTENTION &&
           graph.declarations(static_cast<int>(node.object()) - 1).attention().kind() ==
               proto::Attention::ENCODER;
  });
}

void RemoveFunction(absl::string_view name, proto::Graph& graph) {
  for (int i = graph.functions_size() - 1; i >= 0; --i)
    if (graph.functions(i).name() == name) graph.mutable_functions()->DeleteSubrange(i, 1);
}

std::vector<LayerBorder> BordersOf(const proto::Graph& graph) {
  const Function& forward = *FindFunction(graph, "forward");
  const Values values(forward);
  const int end = forward.nodes_size();
  std::vector<int> last_use(values.size(), -1);  // of value i + 1
  for (int i = 0; i < end; ++i) {
    for (const uint32_t id : forward.nodes(i).inputs())
      if (id != 0) last_use[id - 1] = i;
  }
  for (const uint32_t id : forward.outputs()) last_use[id - 1] = end;

  std::vector<LayerBorder> borders;
  std::set<uint32_t> live;
  const auto begin_life = [&](uint32_t id, int at) {
    if (!values.everywhere(id) && last_use[id - 1] > at) live.insert(id);
  };
  const auto add_border = [&](int layer, int node) {
    LayerBorder& border = borders.emplace_back(LayerBorder{layer, node, live.size(), {}});
    for (auto it = live.begin(); it != live.end() && border.live.size() < kMaxLive; ++it)
      border.live.push_back(*it);
  };
  for (int i = 1; i <= forward.inputs_size(); ++i) begin_life(static_cast<uint32_t>(i), -1);
  for (int i = 0; i < end; ++i) {
    const Node& node = forward.nodes(i);
    if (node.op() == proto::OP_MARK) {
      const op::Mark mark(node);
      const int layer = static_cast<int>(mark.index());
      if (mark.kind() == KEEL_MARK_LAYER_END) {
        add_border(layer + 1, i + 1);
      } else {  // what is between two layers runs before the border
        if (!borders.empty()) borders.pop_back();
        add_border(layer, i);
      }
    }
    for (const uint32_t id : node.inputs())
      if (id != 0 && last_use[id - 1] == i) live.erase(id);
    for (const uint32_t id : node.outputs()) begin_life(id, i);
  }
  return borders;
}

std::string LiveValueText(const proto::Graph& graph, uint32_t id) {
  const Function& forward = *FindFunction(graph, "forward");
  uint32_t next = static_cast<uint32_t>(forward.inputs_size());
  const auto text = [](const std::string& what, const proto::Type& type) {
    const absl::StatusOr<TensorType> parsed = FromProto(type);
    return absl::StrCat(what, ", ", parsed.ok() ? ToString(*parsed) : "of no type");
  };
  if (id <= next) {
    const Function::Input& input = forward.inputs(static_cast<int>(id) - 1);
    return text(absl::StrCat("the input ", input.name()), input.type());
  }
  for (const Node& node : forward.nodes()) {
    const uint32_t first = next + 1;
    next += static_cast<uint32_t>(node.outputs_size());
    if (id <= next) {
      return text(absl::StrCat("the output of ", NodeName(graph, node)),
                  node.types(static_cast<int>(id - first)));
    }
  }
  return "nothing";
}

absl::StatusOr<std::vector<proto::Graph>> CutStages(const proto::Graph& graph, int stages) {
  if (stages < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("pipeline parallelism is ", stages, ", expected at least 1"));
  }
  if (stages == 1) return std::vector<proto::Graph>{graph};
  if (graph.spec().pp_plan().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pipeline parallelism ", stages, ": the model states no base_model_pp_plan, expected one"));
  }
  const Function& forward = *FindFunction(graph, "forward");
  const std::vector<LayerBorder> borders = BordersOf(graph);
  const int layers = std::max(0, static_cast<int>(borders.size()) - 1);
  KEEL_ASSIGN_OR_RETURN(const std::vector<int> cuts,
                        ChooseCuts(layers, stages, Shared(graph, forward)));
  const Values values(forward);
  std::vector<proto::Graph> out;
  for (int stage = 0; stage < stages; ++stage) {
    const bool first = stage == 0, last = stage == stages - 1;
    const LayerBorder* from = first ? nullptr : &borders[cuts[stage - 1]];
    const LayerBorder* to = last ? nullptr : &borders[cuts[stage]];
    const std::vector<uint32_t> ends(forward.outputs().begin(), forward.outputs().end());
    proto::Graph& part = out.emplace_back(graph);
    part.clear_functions();
    for (const Function& function : graph.functions()) {
      if (function.name() == "forward") {
        *part.add_functions() =
            StageFunction(forward, values)
                .Cut(first ? 0 : from->node, last ? forward.nodes_size() : to->node,
                     first ? std::vector<uint32_t>() : from->live, last ? ends : to->live);
      } else if (function.name() == "embed" || absl::StartsWith(function.name(), "encode/")
                     ? first
                     : last) {  // features go where embeddings are
        *part.add_functions() = function;
      }
    }
  }
  return out;
}

}  // namespace keel
