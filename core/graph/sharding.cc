#include "core/graph/sharding.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/infer.h"
#include "core/graph/tp_plan.h"
#include "core/graph/types.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Node;

// Said here in the config's words; propagation would find it too, as a view that can't be split.
absl::Status CheckHeads(const proto::Graph& graph, int ranks) {
  for (const Declaration& d : graph.declarations()) {
    if (!d.has_attention() || d.attention().kind() == proto::Attention::ENCODER) continue;
    for (const auto& [key, heads] : {std::pair("num_attention_heads", d.attention().heads()),
                                     std::pair("num_key_value_heads", d.attention().kv_heads())}) {
      if (heads % ranks == 0) continue;
      return absl::InvalidArgumentError(absl::StrCat("tensor parallelism ", ranks, ": ", key,
                                                     " of '", d.name(), "' is ", heads, ", which ",
                                                     ranks, " ranks don't divide"));
    }
  }
  return absl::OkStatus();
}

constexpr int kReplicated = -1;  // else the dimension along which a value is split

std::string SplitText(int split) {
  return split == kReplicated ? "replicated" : absl::StrCat("split along dimension ", split);
}

// Rewrites one function for a rank, node by node.
class FunctionSharder {
 public:
  FunctionSharder(const proto::Graph& global, const std::vector<TpStyle>& styles, int ranks,
                  RankGraph& out)
      : global_(global), styles_(styles), ranks_(ranks), out_(out) {}

  absl::StatusOr<proto::Function> Run(const proto::Function& function) {
    local_.set_name(function.name());
    for (const proto::Function::Input& input : function.inputs()) {
      *local_.add_inputs() = input;
      KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(input.type()));
      Define(kReplicated, type, type, nullptr);
    }
    for (int i = 0; i < function.nodes_size(); ++i) {
      if (absl::Status status = Shard(function.nodes(i)); !status.ok()) {
        return Annotate(
            status, absl::StrCat("tensor parallelism ", ranks_, ": ", function.name(), ", node ", i,
                                 " (", NodeName(global_, function.nodes(i)), ")"));
      }
    }
    for (const uint32_t id : function.outputs()) {
      if (value(id).split != kReplicated) {
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor parallelism ", ranks_, ": the output of ", function.name(), " is ",
            SplitText(value(id).split), ", expected replicated; check base_model_tp_plan"));
      }
      local_.add_outputs(value(id).local_id);
    }
    return std::move(local_);
  }

 private:
  struct Value {
    int split;
    TensorType global, local;
    uint32_t local_id;
    const Node* maker;  // null for an input
  };

  const Value& value(uint32_t id) const { return values_[id - 1]; }
  const Declaration& object(const Node& node) const {
    return global_.declarations(static_cast<int>(node.object()) - 1);
  }

  void Define(int split, TensorType global, TensorType local, const Node* maker) {
    values_.push_back({split, std::move(global), std::move(local), ++last_id_, maker});
  }

  // "the output of linear model.layers.0.mlp.up_proj, replicated"
  std::string Describe(const Value& x) const {
    return absl::StrCat(x.maker == nullptr
                            ? std::string("an input")
                            : absl::StrCat("the output of ", NodeName(global_, *x.maker)),
                        ", ", SplitText(x.split));
  }

  static absl::Status Unsound(absl::string_view what, int found) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ", which is ", SplitText(found), "; check base_model_tp_plan"));
  }

  absl::Status ExpectReplicated(const Node& node) const {
    for (const uint32_t id : node.inputs()) {
      if (id != 0 && value(id).split != kReplicated)
        return Unsound("needs a whole operand", value(id).split);
    }
    return absl::OkStatus();
  }

  // Divides a size of a declaration by the ranks, once.
  absl::Status Divide(const Node& node, absl::string_view what, int64_t size) const {
    if (size % ranks_ == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(what, " of '", object(node).name(), "' is ",
                                                   size, ", which ", ranks_,
                                                   " ranks don't divide"));
  }

  absl::Status Shard(const Node& node) {
    Node local = node;
    int split = kReplicated;
    switch (node.op()) {
      case proto::OP_LINEAR:
        return ShardLinear(node);
      case proto::OP_MOE:
      case proto::OP_MOE_ROUTED:
        return ShardMoe(node);
      case proto::OP_ATTENTION: {
        KEEL_ASSIGN_OR_RETURN(split, ShardAttention(node));
        break;
      }
      case proto::OP_NORM: {
        split = value(node.inputs(0)).split;
        if (split == value(node.inputs(0)).global.rank() - 1)
          return Unsound("normalizes over a dimension", split);
        break;
      }
      case proto::OP_ROPE: {
        split = value(node.inputs(0)).split;
        if (split == 0 || split == 2 || value(node.inputs(1)).split != kReplicated)
          return Unsound("rotates a tensor", split);
        break;
      }
      case proto::OP_ADD:
      case proto::OP_SUB:
      case proto::OP_MUL:
      case proto::OP_DIV:
      case proto::OP_ACT_MUL: {
        KEEL_ASSIGN_OR_RETURN(split, SplitOfBinary(node));
        break;
      }
      case proto::OP_AFFINE:
      case proto::OP_CLAMP:
      case proto::OP_UNARY:
      case proto::OP_CAST:
        split = value(node.inputs(0)).split;
        break;
      case proto::OP_SOFTMAX:
      case proto::OP_CUMSUM:
      case proto::OP_NARROW:
      case proto::OP_REDUCE: {
        KEEL_ASSIGN_OR_RETURN(split, SplitAlongOtherDim(node));
        break;
      }
      case proto::OP_VIEW: {
        KEEL_ASSIGN_OR_RETURN(split, ShardView(node, local));
        break;
      }
      case proto::OP_PERMUTE: {
        const Value& x = value(node.inputs(0));
        for (int i = 0; i < node.ints_size() && x.split != kReplicated; ++i) {
          if (NormalizeDim(node.ints(i), x.global.rank()).value() == x.split) split = i;
        }
        break;
      }
      default:
        KEEL_RETURN_IF_ERROR(ExpectReplicated(node));
    }
    return Emit(node, std::move(local), split);
  }

  absl::Status ShardLinear(const Node& node) {
    const Value& x = value(node.inputs(0));
    const TpStyle style = styles_[node.object() - 1];
    Declaration& d = *out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1);
    WeightSplit& weight = out_.weights[node.object() - 1];
    const int last = x.global.rank() - 1;
    const proto::Linear& whole = object(node).linear();
    if (style == TpStyle::kRowwise) {
      if (x.split != last)
        return Unsound("is rowwise: it takes an input that is split along its last dimension",
                       x.split);
      KEEL_RETURN_IF_ERROR(Divide(node, "the input size", whole.in()));
      d.mutable_linear()->set_in(whole.in() / ranks_);
      weight = WeightSplit::kColumns;
      KEEL_RETURN_IF_ERROR(Emit(node, node, kReplicated));
      return AppendCollective(proto::OP_ALL_REDUCE, 0);
    }
    if (x.split != kReplicated) {
      return Unsound(style == TpStyle::kReplicate
                         ? "is in no rule of the plan: it takes a whole input"
                         : "is colwise: it takes a whole input",
                     x.split);
    }
    if (style == TpStyle::kReplicate) return Emit(node, node, kReplicated);
    KEEL_RETURN_IF_ERROR(Divide(node, "the output size", whole.out()));
    d.mutable_linear()->set_out(whole.out() / ranks_);
    weight = WeightSplit::kRows;
    KEEL_RETURN_IF_ERROR(Emit(node, node, last));
    return style == TpStyle::kColwiseGather ? AppendCollective(proto::OP_ALL_GATHER, last)
                                            : absl::OkStatus();
  }

  // Every rank routes alike and has a part of every expert.
  absl::Status ShardMoe(const Node& node) {
    KEEL_RETURN_IF_ERROR(ExpectReplicated(node));
    if (styles_[node.object() - 1] != TpStyle::kExperts) return Emit(node, node, kReplicated);
    const int64_t whole = object(node).moe().intermediate_size();
    KEEL_RETURN_IF_ERROR(Divide(node, "the experts' intermediate size", whole));
    out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)
        ->mutable_moe()
        ->set_intermediate_size(whole / ranks_);
    out_.weights[node.object() - 1] = WeightSplit::kExperts;
    KEEL_RETURN_IF_ERROR(Emit(node, node, kReplicated));
    return AppendCollective(proto::OP_ALL_REDUCE, 0);
  }

  // Replaces the newest value by its sum or concatenation over ranks.
  absl::Status AppendCollective(proto::Op op, int dim) {
    Value& newest = values_.back();
    Node* node = local_.add_nodes();
    node->set_op(op);
    node->add_inputs(newest.local_id);
    if (op == proto::OP_ALL_GATHER) node->add_ints(dim);
    newest.local_id = ++last_id_;
    newest.split = kReplicated;
    newest.local = newest.global;
    node->add_outputs(newest.local_id);
    *node->add_types() = ToProto(newest.local);
    return absl::OkStatus();
  }

  absl::StatusOr<int> ShardAttention(const Node& node) {
    const int split = value(node.inputs(0)).split;
    for (int i = 1; i < node.inputs_size(); ++i) {
      if (node.inputs(i) == 0) continue;
      const int found = value(node.inputs(i)).split;
      if (i < 3 ? found != split : (found != kReplicated || split != kReplicated)) {
        return Unsound(absl::StrCat("takes q ", SplitText(split), " and operand ", i), found);
      }
    }
    if (split == kReplicated) return split;
    if (split != 1) return Unsound("takes q, k and v split by heads", split);
    const proto::Attention& whole = object(node).attention();
    KEEL_RETURN_IF_ERROR(Divide(node, "heads (num_attention_heads)", whole.heads()));
    KEEL_RETURN_IF_ERROR(Divide(node, "kv_heads (num_key_value_heads)", whole.kv_heads()));
    proto::Attention* d =
        out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)->mutable_attention();
    d->set_heads(whole.heads() / ranks_);
    d->set_kv_heads(whole.kv_heads() / ranks_);
    return split;
  }

  // A dimension of size 1 goes with any split of the other operand's.
  absl::StatusOr<int> SplitOfBinary(const Node& node) const {
    const Value &a = value(node.inputs(0)), &b = value(node.inputs(1));
    const int rank = std::max(a.global.rank(), b.global.rank());
    const auto aligned = [&](const Value& x) {
      return x.split == kReplicated ? kReplicated : x.split + rank - x.global.rank();
    };
    const auto indifferent = [&](const Value& x, int split) {
      const int at = split - (rank - x.global.rank());
      return x.split == kReplicated && (at < 0 || x.global.dims[at].is(1));
    };
    const int sa = aligned(a), sb = aligned(b);
    if (sa == sb || (sa != kReplicated && indifferent(b, sa))) return sa;
    if (sb != kReplicated && indifferent(a, sb)) return sb;
    return absl::InvalidArgumentError(
        absl::StrCat("takes ", Describe(a), ", and ", Describe(b), "; check base_model_tp_plan"));
  }

  absl::StatusOr<int> SplitAlongOtherDim(const Node& node) const {
    const Value& x = value(node.inputs(0));
    if (x.split == kReplicated) return kReplicated;
    const int dim = NormalizeDim(node.ints(0), x.global.rank()).value();
    if (dim == x.split) return Unsound("works along a dimension of its operand", x.split);
    const bool dropped = node.op() == proto::OP_REDUCE && node.ints(2) == 0 && dim < x.split;
    return x.split - (dropped ? 1 : 0);
  }

  // The split dimension goes to the output dimension that starts at the same place: heads * D <-> heads, D.
  absl::StatusOr<int> ShardView(const Node& node, Node& local) const {
    const Value& x = value(node.inputs(0));
    if (x.split == kReplicated) return kReplicated;
    KEEL_ASSIGN_OR_RETURN(const TensorType to, FromProto(node.types(0)));
    const auto same_prefix = [&](int n) {
      const std::vector<Extent> before(x.global.dims.begin(), x.global.dims.begin() + x.split);
      std::vector<int64_t> dims;
      for (int i = 0; i < n; ++i) {
        if (to.dims[i].symbolic()) {  // symbols must stand at the same place
          if (i >= x.split || to.dims[i] != x.global.dims[i]) return false;
          dims.push_back(0);
        } else {
          dims.push_back(to.dims[i].size);
        }
      }
      return ResolveView(before, dims).ok();
    };
    for (int t = 0; t < to.rank(); ++t) {
      if (!same_prefix(t) || to.dims[t].symbolic() || to.dims[t].size % ranks_ != 0) continue;
      if (t < node.ints_size() && local.ints(t) > 0) local.set_ints(t, local.ints(t) / ranks_);
      return t;
    }
    return Unsound(absl::StrCat("can't keep the split of ", ToString(x.global), " in ",
                                ToString(to), ": its operand"),
                   x.split);
  }

  // Adds the local node with types inferred anew, and checks them against the split that was planned.
  absl::Status Emit(const Node& node, Node local, int split) {
    std::vector<const TensorType*> inputs;
    for (int i = 0; i < node.inputs_size(); ++i) {
      const uint32_t id = node.inputs(i);
      inputs.push_back(id == 0 ? nullptr : &value(id).local);
      local.set_inputs(i, id == 0 ? 0 : value(id).local_id);
    }
    KEEL_ASSIGN_OR_RETURN(const std::vector<TensorType> types,
                          InferTypes(out_.graph, local, inputs));
    local.clear_types();
    local.clear_outputs();
    for (int i = 0; i < node.outputs_size(); ++i) {
      KEEL_ASSIGN_OR_RETURN(const TensorType global, FromProto(node.types(i)));
      TensorType expected = global;
      if (split != kReplicated) expected.dims[split].size /= ranks_;
      if (types[i] != expected) {
        return absl::InternalError(absl::StrCat("gives ", ToString(types[i]),
                                                " on a rank, expected ", ToString(expected)));
      }
      Define(split, global, expected, &node);
      local.add_outputs(last_id_);
      *local.add_types() = ToProto(expected);
    }
    *local_.add_nodes() = std::move(local);
    return absl::OkStatus();
  }

  const proto::Graph& global_;
  const std::vector<TpStyle>& styles_;
  const int ranks_;
  RankGraph& out_;
  proto::Function local_;
  std::vector<Value> values_;  // of the global graph's value i + 1
  uint32_t last_id_ = 0;
};

}  // namespace

absl::StatusOr<RankGraph> ShardGraph(const proto::Graph& graph, int ranks) {
  if (ranks < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("tensor parallelism is ", ranks, ", expected at least 1"));
  RankGraph out{graph, std::vector<WeightSplit>(graph.declarations_size(), WeightSplit::kWhole)};
  KEEL_ASSIGN_OR_RETURN(const std::vector<TpStyle> styles, TpStylesOf(graph));
  if (ranks == 1) return out;
  const bool splits = std::any_of(styles.begin(), styles.end(),
                                  [](TpStyle style) { return style != TpStyle::kReplicate; });
  if (splits) KEEL_RETURN_IF_ERROR(CheckHeads(graph, ranks));
  for (int i = 0; i < graph.functions_size(); ++i) {
    KEEL_ASSIGN_OR_RETURN(*out.graph.mutable_functions(i),
                          FunctionSharder(graph, styles, ranks, out).Run(graph.functions(i)));
  }
  return out;
}

}  // namespace keel
