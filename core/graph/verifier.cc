#include "core/graph/verifier.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/config/merge_rule.h"
#include "core/graph/activations.h"
#include "core/graph/declaration.h"
#include "core/graph/errors.h"
#include "core/graph/features.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/rows.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Function;
using proto::Node;

constexpr int kMaxNodes = 1 << 20;
constexpr int64_t kMaxConstantBytes = 64 << 20;

absl::Status BadGraph(absl::string_view got, absl::string_view expected,
                      absl::string_view hint = "") {
  return Annotate(Bad(got, expected, hint), "graph");
}

// What a plugin's recording has from the builder of specs, and a file may say otherwise.
absl::Status CheckSpec(const proto::ModelSpec& spec) {
  struct Field {
    const char* name;
    int64_t value, least;
  };
  for (const Field& field : {Field{"num_layers", spec.num_layers(), 1},
                             {"hidden_size", spec.hidden_size(), 1},
                             {"vocab_size", spec.vocab_size(), 1},
                             {"max_positions", spec.max_positions(), 0}}) {
    if (field.value >= field.least && field.value <= kMaxDeclaredSize) continue;
    return Bad(absl::StrCat(field.name, " of its spec is ", field.value),
               absl::StrCat(field.least, " to 2^30"));
  }
  for (const double scale : {spec.embed_scale(), spec.logit_scale(), spec.logit_softcap()}) {
    if (!std::isfinite(scale))
      return Bad("a scale or softcap of its spec is no finite number", "one");
  }
  for (const proto::ModelSpec::Rename& rename : spec.renames()) {
    for (const int64_t size : rename.sizes()) {
      if (size >= 1 && size <= kMaxDeclaredSize) continue;
      return Bad(absl::StrCat("a rename of its spec has the size ", size), "1 to 2^30");
    }
  }
  return absl::OkStatus();
}

// How several items' inputs are put together: rules that fit, and indices of a symbol that their graph has.
absl::Status CheckMergeRules(const proto::ModelSpec& spec) {
  for (const proto::ModelSpec::Input& input : spec.inputs()) {
    KEEL_RETURN_IF_ERROR(CheckMergeRule(input));
    if (input.merge() != KEEL_MERGE_INDICES) continue;
    const bool known = absl::c_any_of(spec.inputs(), [&](const proto::ModelSpec::Input& other) {
      return other.graph() == input.graph() &&
             absl::c_linear_search(other.dims(), input.index_symbol());
    });
    if (known) continue;
    return Bad(absl::StrCat("input '", Shown(input.name()), "' of ", Shown(input.graph()),
                            " has indices that count the symbol ", input.index_symbol()),
               "one that is a dimension of that graph's inputs");
  }
  return absl::OkStatus();
}

absl::Status CheckDeclarations(const proto::Graph& graph) {
  absl::flat_hash_set<std::string> names;
  absl::flat_hash_map<int32_t, const Declaration*> layers;
  for (const Declaration& d : graph.declarations()) {
    if (d.name().empty() || !names.insert(d.name()).second)
      return BadGraph(absl::StrCat("'", Shown(d.name()), "' is declared twice or unnamed"),
                      "each once");
    if (absl::Status status = CheckDeclaration(graph, d); !status.ok())
      return Annotate(status, absl::StrCat("graph: '", Shown(d.name()), "'"));
    if (!d.has_attention() || d.attention().kind() == proto::Attention::ENCODER) continue;
    const auto [it, fresh] = layers.emplace(d.attention().layer(), &d);
    if (!fresh) {
      return BadGraph(absl::StrCat("'", Shown(d.name()), "' and '", Shown(it->second->name()),
                                   "' both hold layer ", d.attention().layer()),
                      "a layer each");
    }
  }
  return absl::OkStatus();
}

// Walks one function's nodes with the types of its values.
class FunctionVerifier {
 public:
  FunctionVerifier(const proto::Graph& graph, const Function& function)
      : graph_(graph), function_(function) {}

  absl::Status Run() {
    KEEL_RETURN_IF_ERROR(AddInputs());
    for (int i = 0; i < function_.nodes_size(); ++i) {
      if (absl::Status status = CheckNode(function_.nodes(i)); !status.ok()) {
        return Annotate(status, absl::StrCat("graph: ", Shown(function_.name()), ", node ", i, " (",
                                             NodeName(graph_, function_.nodes(i)), ")"));
      }
    }
    return CheckOutputs();
  }

 private:
  absl::Status AddInputs() {
    for (const Function::Input& input : function_.inputs()) {
      KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(input.type()));
      types_.push_back(type);
      used_.push_back(true);  // an input may be ignored
    }
    if (function_.name() != "forward") return absl::OkStatus();
    const bool named = function_.inputs_size() >= 2 && function_.inputs(0).name() == "embeds" &&
                       function_.inputs(1).name() == "positions";
    const TensorType embeds{proto::MODEL, {{1, "N", 1}, {EmbeddingSize(graph_), "", 1}}};
    if (named && types_[0] == embeds) return absl::OkStatus();
    return BadGraph("forward's first inputs are others",
                    absl::StrCat("embeds ", ToString(embeds), " and positions"));
  }

  absl::Status CheckNode(const Node& node) {
    std::vector<const TensorType*> inputs;
    for (const uint32_t id : node.inputs()) {
      if (id > types_.size())
        return Bad(absl::StrCat("value ", id, " is used before it is defined"),
                   absl::StrCat("1 to ", types_.size()));
      inputs.push_back(id == 0 ? nullptr : &types_[id - 1]);
      if (id != 0) used_[id - 1] = true;
    }
    KEEL_ASSIGN_OR_RETURN(std::vector<TensorType> inferred, InferTypes(graph_, node, inputs));
    if (static_cast<int>(inferred.size()) != node.outputs_size() ||
        node.types_size() != node.outputs_size()) {
      return Bad(
          absl::StrCat("has ", node.outputs_size(), " outputs and ", node.types_size(), " types"),
          absl::StrCat(inferred.size()));
    }
    for (int i = 0; i < node.outputs_size(); ++i) {
      KEEL_ASSIGN_OR_RETURN(const TensorType stated, FromProto(node.types(i)));
      if (stated != inferred[i]) {
        return Bad(absl::StrCat("the graph says that it gives ", ToString(stated)),
                   ToString(inferred[i]));
      }
      if (node.outputs(i) != types_.size() + 1) {
        return Bad(absl::StrCat("defines value ", node.outputs(i)),
                   absl::StrCat(types_.size() + 1));
      }
      types_.push_back(stated);
      used_.push_back(node.op() == proto::OP_TOPK);  // half of a top-k may go unused
    }
    if (node.op() == proto::OP_MARK) return CheckMark(node);
    return CheckCarried(node);
  }

  absl::Status CheckCarried(const Node& node) {
    const std::vector<uint32_t> carried = Carried(node);
    for (const uint32_t object : carried) {
      if (!carried_.insert(object).second)
        return Bad("is used twice", "once: what it carries from step to step is written there");
    }
    if (!carried.empty() && node.op() != proto::OP_ATTENTION && function_.name() != "forward")
      return Bad(absl::StrCat("is in ", function_.name()), "forward: only sequences carry states");
    return absl::OkStatus();
  }

  // What the node keeps from step to step: an attention's keys and values, states.
  std::vector<uint32_t> Carried(const Node& node) const {
    if (node.op() == proto::OP_RECUR) return {node.object()};
    if (node.op() != proto::OP_ATTENTION && node.op() != proto::OP_CALL) return {};
    const Declaration& d = graph_.declarations(static_cast<int>(node.object()) - 1);
    if (node.op() == proto::OP_CALL)
      return {d.kernel().states().begin(), d.kernel().states().end()};
    if (d.attention().kind() == proto::Attention::ENCODER) return {};
    return {node.object()};
  }

  absl::Status CheckMark(const Node& node) {
    const op::Mark mark(node);
    const bool begin = mark.kind() == KEEL_MARK_LAYER_BEGIN;
    if (begin == in_layer_ || mark.index() != next_layer_) {
      return Bad(absl::StrCat("marks layer ", mark.index()),
                 absl::StrCat(next_layer_, ": in order, each once"));
    }
    if (!begin) ++next_layer_;
    in_layer_ = begin;
    return absl::OkStatus();
  }

  absl::Status CheckOutputs() {
    if (function_.outputs_size() != 1 || function_.outputs(0) == 0 ||
        function_.outputs(0) > types_.size()) {
      return BadGraph(absl::StrCat(function_.name(), " has ", function_.outputs_size(), " outputs"),
                      "one value of it");
    }
    used_[function_.outputs(0) - 1] = true;
    for (const Node& node : function_.nodes()) {
      for (const uint32_t id : node.outputs()) {
        if (!used_[id - 1]) {
          return BadGraph(absl::StrCat(function_.name(), ": value ", id, " (",
                                       NodeName(graph_, node), ") is computed and never used"),
                          "every value to reach the output");
        }
      }
    }
    if (in_layer_) return BadGraph(absl::StrCat("layer ", next_layer_, " has no end mark"), "one");
    return CheckOutputType(types_[function_.outputs(0) - 1]);
  }

  absl::Status CheckOutputType(const TensorType& out) const {
    const std::string& name = function_.name();
    const Extent tokens{1, "N", 1}, rows{1, "R", 1}, hidden{graph_.spec().hidden_size(), "", 1};
    TensorType expected{proto::MODEL, {}};
    if (name == "forward") {
      expected.dims = {tokens, hidden};
    } else if (name == "logits") {
      expected.dims = {rows, {graph_.spec().vocab_size(), "", 1}};
    } else if (name == "pool") {  // vectors of any size
      expected.dims = {rows, out.dims.empty() ? hidden : out.dims.back()};
    } else if (absl::StartsWith(name, "encode/")) {  // any number of features, for rows of `embeds`
      expected.dims = {out.dims.empty() ? rows : out.dims.front(), {EmbeddingSize(graph_), "", 1}};
    } else {
      return BadGraph(absl::StrCat("'", Shown(name), "' is no function of a model"),
                      "forward, logits, pool or encode/<modality>");
    }
    if (out == expected) return absl::OkStatus();
    return BadGraph(absl::StrCat(name, " gives ", ToString(out)), ToString(expected));
  }

  const proto::Graph& graph_;
  const Function& function_;
  std::vector<TensorType> types_;  // of value i + 1
  std::vector<bool> used_;
  absl::flat_hash_set<uint32_t> carried_;  // attentions and states
  int64_t next_layer_ = 0;
  bool in_layer_ = false;
};

}  // namespace

absl::Status VerifyGraph(const proto::Graph& graph) {
  if (graph.opset() < 1 || graph.opset() > kOpset) {
    return absl::InvalidArgumentError(absl::StrCat(
        "graph: opset is ", graph.opset(), ", this host runs 1 to ", kOpset, "; update keel"));
  }
  int64_t nodes = 0, constants = 0;
  for (const Function& function : graph.functions()) {
    nodes += function.nodes_size();
    for (const Node& node : function.nodes()) constants += static_cast<int64_t>(node.data().size());
  }
  if (nodes > kMaxNodes || constants > kMaxConstantBytes || graph.declarations_size() > kMaxNodes) {
    return BadGraph(absl::StrCat("has ", nodes, " nodes and ", constants, " bytes of constants"),
                    absl::StrCat("at most ", kMaxNodes, " and ", kMaxConstantBytes));
  }
  if (absl::Status status = CheckSpec(graph.spec()); !status.ok()) return Annotate(status, "graph");
  if (absl::Status status = CheckMergeRules(graph.spec()); !status.ok())
    return Annotate(status, "graph");
  if (const uint32_t needed = OpsetOf(graph); graph.opset() < needed)
    return BadGraph(absl::StrCat("opset is ", graph.opset()),
                    absl::StrCat("at least ", needed, ", which has its ops"));
  for (const std::string& feature : graph.required_features()) {
    if (HasFeature(feature)) continue;
    return BadGraph(absl::StrCat("needs '", Shown(feature), "'"), "features of this host",
                    "update keel");
  }
  for (const proto::ModelSpec::Rename& rename : graph.spec().renames()) {
    if (proto::ModelSpec::Rename::Op_IsValid(rename.op())) continue;
    return BadGraph(absl::StrCat("has a rename with the operation ", rename.op()),
                    "one that this host knows", "update keel");
  }
  KEEL_RETURN_IF_ERROR(CheckDeclarations(graph));
  absl::flat_hash_set<std::string> names;
  for (const Function& function : graph.functions()) {
    if (!names.insert(function.name()).second)
      return BadGraph(absl::StrCat("function '", Shown(function.name()), "' comes twice"),
                      "each once");
    KEEL_RETURN_IF_ERROR(FunctionVerifier(graph, function).Run());
    KEEL_RETURN_IF_ERROR(MostHeld(graph, function).status());
    if (absl::StartsWith(function.name(), "encode/")) continue;  // rows of an item may mix
    if (absl::Status status = CheckRowsDontMix(graph, function); !status.ok())
      return Annotate(status, "graph");
  }
  if (!names.contains("forward")) return BadGraph("has no forward", "one");
  return absl::OkStatus();
}

}  // namespace keel
