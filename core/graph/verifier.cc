#include "core/graph/verifier.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/infer.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Function;
using proto::Node;

constexpr int kMaxNodes = 1 << 20;
constexpr int64_t kMaxConstantBytes = 64 << 20;
constexpr int64_t kMaxSize = int64_t{1} << 30;  // as when declaring

absl::Status Bad(std::string message) {
  return absl::InvalidArgumentError(absl::StrCat("graph: ", message));
}

absl::Status CheckTie(const proto::Graph& graph, const Declaration& d) {
  if (d.tied_to() == 0) return absl::OkStatus();
  if (d.tied_to() > static_cast<uint32_t>(graph.declarations_size())) {
    return Bad(absl::StrCat("'", d.name(), "' is tied to object ", d.tied_to(),
                            ", which was not declared"));
  }
  const Declaration& other = graph.declarations(static_cast<int>(d.tied_to()) - 1);
  const auto shape = [](const Declaration& x) -> std::pair<int64_t, int64_t> {
    if (x.has_linear()) return {x.linear().out(), x.linear().in()};
    if (x.has_embedding()) return {x.embedding().rows(), x.embedding().size()};
    return {0, 0};
  };
  if (other.tied_to() == 0 && shape(d).first > 0 && shape(d) == shape(other))
    return absl::OkStatus();
  return Bad(absl::StrCat("'", d.name(), "' is tied to '", other.name(),
                          "', which has another kind or shape"));
}

// What a rope's declaration must hold for the tables that are built from it.
absl::Status CheckRope(const Declaration& d) {
  const proto::Rope& rope = d.rope();
  int64_t sections = 0;
  for (const int64_t section : rope.sections()) sections += section;
  const int64_t pairs = rope.rotary_size() / 2;
  const bool ok = rope.rotary_size() >= 2 && rope.rotary_size() % 2 == 0 &&
                  rope.rotary_size() <= rope.head_dim() && rope.inv_freq_size() == pairs &&
                  (rope.long_inv_freq().empty() || rope.long_inv_freq_size() == pairs) &&
                  (rope.sections().empty() || sections == pairs) && rope.sections_size() <= 4;
  return ok ? absl::OkStatus()
            : Bad(absl::StrCat("'", d.name(),
                               "': rotary size, frequencies and sections don't agree"));
}

bool SizesOk(std::initializer_list<int64_t> sizes) {
  return std::all_of(sizes.begin(), sizes.end(),
                     [](int64_t size) { return size >= 1 && size <= kMaxSize; });
}

bool TypeOk(const proto::Type& type) {
  const absl::StatusOr<TensorType> parsed = FromProto(type);
  return parsed.ok() && std::all_of(parsed->dims.begin(), parsed->dims.end(),
                                    [](const Extent& e) { return !e.symbolic(); });
}

bool MoeOk(const proto::Moe& m) {
  const bool groups = m.groups() == 0 ? m.top_groups() == 0
                                      : m.groups() > 0 && m.experts() % m.groups() == 0 &&
                                            m.top_groups() >= 1 && m.top_groups() <= m.groups();
  return SizesOk({m.experts(), m.top_k(), m.hidden_size(), m.intermediate_size()}) &&
         m.top_k() <= m.experts() && groups && m.act() >= KEEL_ACT_SILU &&
         m.act() <= KEEL_ACT_QUICK_GELU && m.scoring() <= KEEL_MOE_TOPK_SOFTMAX &&
         !m.up().empty() && !m.down().empty();
}

bool ConvOk(const proto::Conv& c) {
  const int nd = c.kernel_size();
  if (nd < 1 || nd > 3 || c.stride_size() != nd || c.padding_size() != nd ||
      !SizesOk({c.in(), c.out(), c.groups()}) || c.in() % c.groups() || c.out() % c.groups())
    return false;
  for (int i = 0; i < nd; ++i) {
    if (!SizesOk({c.kernel(i), c.stride(i)}) || c.padding(i) < 0 || c.padding(i) > c.kernel(i))
      return false;
  }
  return true;
}

// What declare.cc asks of a plugin, asked of a file: inference and execution compute with these.
absl::Status CheckSizes(const Declaration& d) {
  const bool ok = [&] {
    switch (d.kind_case()) {
      case Declaration::kLinear:
        return SizesOk({d.linear().in(), d.linear().out()});
      case Declaration::kEmbedding:
        return SizesOk({d.embedding().rows(), d.embedding().size()});
      case Declaration::kNorm:
        return SizesOk({d.norm().size()}) && d.norm().eps() > 0 && d.norm().eps() < 1 &&
               proto::Norm::Kind_IsValid(d.norm().kind());
      case Declaration::kMoe:
        return MoeOk(d.moe());
      case Declaration::kConv:
        return ConvOk(d.conv());
      case Declaration::kState:
        return TypeOk(d.state().type()) && d.state().kind() <= KEEL_STATE_OTHER;
      case Declaration::kParam:
        return TypeOk(d.param().type());
      default:
        return true;
    }
  }();
  return ok ? absl::OkStatus()
            : Bad(absl::StrCat("'", d.name(), "': its sizes or options are out of range"));
}

absl::Status CheckDeclarations(const proto::Graph& graph) {
  absl::flat_hash_set<std::string> names;
  absl::flat_hash_map<int32_t, const Declaration*> layers;
  for (const Declaration& d : graph.declarations()) {
    if (d.name().empty() || !names.insert(d.name()).second)
      return Bad(absl::StrCat("'", d.name(), "' is declared twice or unnamed"));
    if (d.kind_case() == Declaration::KIND_NOT_SET)
      return Bad(absl::StrCat("'", d.name(), "' has no kind"));
    KEEL_RETURN_IF_ERROR(CheckTie(graph, d));
    KEEL_RETURN_IF_ERROR(CheckSizes(d));
    if (d.has_rope()) KEEL_RETURN_IF_ERROR(CheckRope(d));
    if (!d.has_attention()) continue;
    const proto::Attention& a = d.attention();
    const bool encoder = a.kind() == proto::Attention::ENCODER;
    const bool layer_ok = encoder || (a.layer() >= 0 && a.layer() < graph.spec().num_layers() &&
                                      a.kv_share_layer() >= -1 &&
                                      (a.kv_share_layer() == -1 || a.kv_share_layer() < a.layer()));
    if (!layer_ok || !SizesOk({a.heads(), a.kv_heads(), a.qk_dim(), a.v_dim()}) ||
        a.heads() % a.kv_heads() != 0 || !(a.scale() > 0) || a.window() < 0 || a.chunk() < 0 ||
        !proto::Attention::Kind_IsValid(a.kind())) {
      return Bad(absl::StrCat("'", d.name(), "': layer, heads or sizes are out of range"));
    }
    if (encoder) continue;
    const auto [it, fresh] = layers.emplace(a.layer(), &d);
    if (!fresh)
      return Bad(absl::StrCat("'", d.name(), "' and '", it->second->name(), "' both hold layer ",
                              a.layer()));
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
        return Annotate(status, absl::StrCat("graph: ", function_.name(), ", node ", i, " (",
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
    const TensorType embeds{proto::MODEL, {{1, "N", 1}, {graph_.spec().hidden_size(), "", 1}}};
    if (named && types_[0] == embeds) return absl::OkStatus();
    return Bad(absl::StrCat("forward must take embeds ", ToString(embeds), " and positions"));
  }

  absl::Status CheckNode(const Node& node) {
    std::vector<const TensorType*> inputs;
    for (const uint32_t id : node.inputs()) {
      if (id > types_.size())
        return absl::InvalidArgumentError(
            absl::StrCat("value ", id, " is used before it is defined"));
      inputs.push_back(id == 0 ? nullptr : &types_[id - 1]);
      if (id != 0) used_[id - 1] = true;
    }
    if (absl::Status status = CheckArgs(node); !status.ok()) return status;
    KEEL_ASSIGN_OR_RETURN(std::vector<TensorType> inferred, InferTypes(graph_, node, inputs));
    if (static_cast<int>(inferred.size()) != node.outputs_size() ||
        node.types_size() != node.outputs_size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("has ", node.outputs_size(), " outputs, expected ", inferred.size()));
    }
    for (int i = 0; i < node.outputs_size(); ++i) {
      KEEL_ASSIGN_OR_RETURN(const TensorType stated, FromProto(node.types(i)));
      if (stated != inferred[i]) {
        return absl::InvalidArgumentError(
            absl::StrCat("gives ", ToString(inferred[i]), ", the graph says ", ToString(stated)));
      }
      if (node.outputs(i) != types_.size() + 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("defines value ", node.outputs(i), ", expected ", types_.size() + 1));
      }
      types_.push_back(stated);
      used_.push_back(node.op() == proto::OP_TOPK);  // half of a top-k may go unused
    }
    if (node.op() == proto::OP_MARK) return CheckMark(node);
    const bool carries = node.op() == proto::OP_ATTENTION || node.op() == proto::OP_RECUR;
    if (carries && !carried_.insert(node.object()).second) {
      return absl::InvalidArgumentError(
          "is used twice: what it carries from step to step would be written twice");
    }
    if (node.op() == proto::OP_RECUR && function_.name() != "forward") {
      return absl::InvalidArgumentError("is not in forward: only sequences carry states");
    }
    return absl::OkStatus();
  }

  // The positions of named tensor arguments must lie within the operands.
  absl::Status CheckArgs(const Node& node) const {
    if (node.op() != proto::OP_ATTENTION && node.op() != proto::OP_RECUR) return absl::OkStatus();
    const int fixed = node.op() == proto::OP_ATTENTION ? 3 : 1;
    const int skip = node.op() == proto::OP_ATTENTION ? 0 : 1;
    int tensors = 0, numbers = 0;
    if (node.ints_size() != node.names_size() + skip)
      return absl::InvalidArgumentError("its named arguments don't add up");
    for (int i = 0; i < node.names_size(); ++i) {
      const int64_t position = node.ints(i + skip);
      if (position == -1) {
        ++numbers;
      } else if (position != tensors++) {
        return absl::InvalidArgumentError("its named arguments are out of order");
      }
    }
    if (node.inputs_size() == fixed + tensors && node.reals_size() == numbers)
      return absl::OkStatus();
    return absl::InvalidArgumentError("its named arguments don't add up");
  }

  absl::Status CheckMark(const Node& node) {
    const bool begin = node.ints(0) == KEEL_MARK_LAYER_BEGIN;
    const bool ok = begin ? !in_layer_ && node.ints(1) == next_layer_
                          : in_layer_ && node.ints(1) == next_layer_;
    if (!ok)
      return absl::InvalidArgumentError(absl::StrCat("marks layer ", node.ints(1), ", expected ",
                                                     next_layer_, ": in order, each once"));
    if (!begin) ++next_layer_;
    in_layer_ = begin;
    return absl::OkStatus();
  }

  absl::Status CheckOutputs() {
    if (function_.outputs_size() != 1 || function_.outputs(0) == 0 ||
        function_.outputs(0) > types_.size()) {
      return Bad(absl::StrCat(function_.name(), " must have one output"));
    }
    used_[function_.outputs(0) - 1] = true;
    for (const Node& node : function_.nodes()) {
      for (const uint32_t id : node.outputs()) {
        if (!used_[id - 1]) {
          return Bad(absl::StrCat(function_.name(), ": value ", id, " (", NodeName(graph_, node),
                                  ") is computed and never used"));
        }
      }
    }
    if (in_layer_) return Bad(absl::StrCat("layer ", next_layer_, " has no end mark"));
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
    } else if (absl::StartsWith(name, "encode/")) {  // any number of features
      expected.dims = {out.dims.empty() ? rows : out.dims.front(), hidden};
    } else {
      return Bad(absl::StrCat("'", name, "' is no function of a model, expected forward, logits, ",
                              "pool or encode/<modality>"));
    }
    if (out == expected) return absl::OkStatus();
    return Bad(absl::StrCat(name, " gives ", ToString(out), ", expected ", ToString(expected)));
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
    return Bad(absl::StrCat("opset is ", graph.opset(), ", this host runs 1 to ", kOpset,
                            "; update keel"));
  }
  int64_t nodes = 0, constants = 0;
  for (const Function& function : graph.functions()) {
    nodes += function.nodes_size();
    for (const Node& node : function.nodes()) constants += static_cast<int64_t>(node.data().size());
  }
  if (nodes > kMaxNodes || constants > kMaxConstantBytes || graph.declarations_size() > kMaxNodes) {
    return Bad(absl::StrCat("has ", nodes, " nodes and ", constants,
                            " bytes of constants, expected at most ", kMaxNodes, " and ",
                            kMaxConstantBytes));
  }
  if (graph.spec().num_layers() < 1 || graph.spec().hidden_size() < 1 ||
      graph.spec().vocab_size() < 1) {
    return Bad("its spec lacks num_layers, hidden_size or vocab_size");
  }
  KEEL_RETURN_IF_ERROR(CheckDeclarations(graph));
  absl::flat_hash_set<std::string> names;
  for (const Function& function : graph.functions()) {
    if (!names.insert(function.name()).second)
      return Bad(absl::StrCat("function '", function.name(), "' comes twice"));
    KEEL_RETURN_IF_ERROR(FunctionVerifier(graph, function).Run());
  }
  if (!names.contains("forward")) return Bad("has no forward");
  return absl::OkStatus();
}

}  // namespace keel
