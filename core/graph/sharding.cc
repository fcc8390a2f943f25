#include "core/graph/sharding.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/axis.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/recurrences.h"
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
      const bool latent = d.attention().kind() == proto::Attention::MLA && heads == 1;
      if (heads % ranks == 0 || latent) continue;
      return absl::FailedPreconditionError(absl::StrCat("tensor parallelism ", ranks, ": ", key,
                                                     " of '", d.name(), "' is ", heads, ", which ",
                                                     ranks, " ranks don't divide"));
    }
  }
  return absl::OkStatus();
}

constexpr int kReplicated = kNoAxis;  // else the dimension along which a value is split

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
    return absl::FailedPreconditionError(absl::StrCat(what, " of '", object(node).name(), "' is ",
                                                      size, ", which ", ranks_,
                                                      " ranks don't divide"));
  }

  absl::Status Shard(const Node& node) {
    switch (node.op()) {
      case proto::OP_LINEAR:
        return ShardLinear(node);
      case proto::OP_MOE:
      case proto::OP_MOE_ROUTED:
        return ShardMoe(node);
      case proto::OP_ATTENTION:
        return ShardAttention(node);
      case proto::OP_PARAM:
        return ShardParam(node);
      case proto::OP_RECUR:
        return ShardRecur(node);
      case proto::OP_CALL:  // a kernel knows nothing of ranks
        KEEL_RETURN_IF_ERROR(ExpectReplicated(node));
        return Emit(node, node, kReplicated);
      default:
        return ShardByAxis(node);
    }
  }

  // Ops without weights that are split: the axis goes where their row of the op table says.
  absl::Status ShardByAxis(const Node& node) {
    std::vector<const TensorType*> inputs;
    std::vector<int> axes;
    std::string split_operands;
    for (const uint32_t id : node.inputs()) {
      inputs.push_back(id == 0 ? nullptr : &value(id).global);
      axes.push_back(id == 0 ? kReplicated : value(id).split);
      if (id == 0) continue;
      absl::StrAppend(&split_operands, split_operands.empty() ? ": " : ", and ",
                      Describe(value(id)));
    }
    TensorType output;
    if (node.types_size() > 0) {
      KEEL_ASSIGN_OR_RETURN(output, FromProto(node.types(0)));
    }
    const absl::StatusOr<int> split =
        FindOp(node.op())->axis({global_, node, inputs, axes, &output});
    if (!split.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(split.status().message(), split_operands, "; check base_model_tp_plan"));
    }
    Node local = node;
    if (node.op() == proto::OP_VIEW && *split != kReplicated) {
      KEEL_RETURN_IF_ERROR(DivideView(output, *split, local));
    }
    return Emit(node, std::move(local), *split);
  }

  absl::Status DivideView(const TensorType& output, int split, Node& local) const {
    if (output.dims[split].size % ranks_ != 0) {
      return Unsound(absl::StrCat(ranks_, " ranks don't divide dimension ", split, " of ",
                                  ToString(output), ": its operand"),
                     value(local.inputs(0)).split);
    }
    const int64_t size = op::View(local).dims()[split];
    if (size > 0) op::View::SetDim(local, split, size / ranks_);
    return absl::OkStatus();
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

  absl::Status ShardParam(const Node& node) {
    if (styles_[node.object() - 1] == TpStyle::kReplicate) return Emit(node, node, kReplicated);
    const proto::Type& whole = object(node).param().type();
    if (whole.dims().empty()) {
      return absl::InvalidArgumentError(
          "is colwise: it has no dimension to split, expected one; "
          "check base_model_tp_plan");
    }
    KEEL_RETURN_IF_ERROR(Divide(node, "the first dimension", whole.dims(0).size()));
    out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)
        ->mutable_param()
        ->mutable_type()
        ->mutable_dims(0)
        ->set_size(whole.dims(0).size() / ranks_);
    out_.weights[node.object() - 1] = WeightSplit::kRows;
    return Emit(node, node, 0);
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
    *node = op == proto::OP_ALL_GATHER ? op::AlongDim::Make(op, dim) : op::MakeNode(op);
    node->add_inputs(newest.local_id);
    newest.local_id = ++last_id_;
    newest.split = kReplicated;
    newest.local = newest.global;
    node->add_outputs(newest.local_id);
    *node->add_types() = ToProto(newest.local);
    return absl::OkStatus();
  }

  absl::Status ShardAttention(const Node& node) {
    if (object(node).attention().kind() == proto::Attention::MLA) return ShardLatentAttention(node);
    const int split = value(node.inputs(0)).split;
    for (int i = 1; i < node.inputs_size(); ++i) {
      if (node.inputs(i) == 0) continue;
      const int found = value(node.inputs(i)).split;
      if (i < 3 ? found != split : (found != kReplicated || split != kReplicated)) {
        return Unsound(absl::StrCat("takes q ", SplitText(split), " and operand ", i), found);
      }
    }
    if (split == kReplicated) return Emit(node, node, split);
    if (split != 1) return Unsound("takes q, k and v split by heads", split);
    const proto::Attention& whole = object(node).attention();
    KEEL_RETURN_IF_ERROR(Divide(node, "heads (num_attention_heads)", whole.heads()));
    KEEL_RETURN_IF_ERROR(Divide(node, "kv_heads (num_key_value_heads)", whole.kv_heads()));
    proto::Attention* d =
        out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)->mutable_attention();
    d->set_heads(whole.heads() / ranks_);
    d->set_kv_heads(whole.kv_heads() / ranks_);
    return Emit(node, node, split);
  }

  // By heads of the queries; every rank keeps whole latents, and its heads' part of what expands them.
  absl::Status ShardLatentAttention(const Node& node) {
    const int split = value(node.inputs(0)).split;
    for (int i = 1; i < node.inputs_size(); ++i) {
      const int found = value(node.inputs(i)).split;
      if (found != kReplicated || (i >= 3 && split != kReplicated))
        return Unsound(absl::StrCat("takes q ", SplitText(split), " and operand ", i), found);
    }
    const proto::Attention& whole = object(node).attention();
    const TpStyle style = styles_[whole.kv_up() - 1];
    if (style != (split == kReplicated ? TpStyle::kReplicate : TpStyle::kColwise)) {
      return Unsound(
          absl::StrCat("expects ", global_.declarations(static_cast<int>(whole.kv_up()) - 1).name(),
                       " to be ", split == kReplicated ? "replicate" : "colwise",
                       " as its queries"),
          split);
    }
    if (split == kReplicated) return Emit(node, node, split);
    if (split != 1) return Unsound("takes q split by heads", split);
    KEEL_RETURN_IF_ERROR(Divide(node, "heads (num_attention_heads)", whole.heads()));
    out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)
        ->mutable_attention()
        ->set_heads(whole.heads() / ranks_);
    const int up = static_cast<int>(whole.kv_up()) - 1;
    out_.graph.mutable_declarations(up)->mutable_linear()->set_out(
        global_.declarations(up).linear().out() / ranks_);
    out_.weights[whole.kv_up() - 1] = WeightSplit::kRows;
    return Emit(node, node, split);
  }

  // By heads: those operands that have a dimension of heads, or of groups of them, are split there, and
  // so is the state. One group is every head's and may stay whole.
  absl::Status ShardRecur(const Node& node) {
    const RecurrenceRow& row = *FindRecurrence(op::Recur(node).kind());
    std::vector<int> wanted = {HeadsDim(row.x.shape)};
    const op::Arguments args(node);
    for (int i = 0; i < args.size(); ++i) {
      if (!args.operand(i).has_value()) continue;
      const int rank = value(node.inputs(*args.operand(i))).global.rank();
      wanted.push_back(HeadsDim(row.FindArg(args.name(i))->ShapeOfRank(rank)));
    }
    const auto first = std::find_if(node.inputs().begin(), node.inputs().end(),
                                    [this](uint32_t id) { return value(id).split != kReplicated; });
    if (first == node.inputs().end()) return Emit(node, node, kReplicated);
    for (size_t i = 0; i < wanted.size(); ++i) {
      const Value& x = value(node.inputs(static_cast<int>(i)));
      if (x.split == wanted[i]) continue;
      const bool one_group = wanted[i] != kReplicated && x.global.dims[wanted[i]].is(1);
      if (x.split == kReplicated && one_group) continue;
      return Unsound(
          absl::StrCat("is split by heads, as ", Describe(value(*first)), ": operand ", i,
                       " has to be ", SplitText(wanted[i]), ": it takes ", Describe(x)),
          x.split);
    }
    const int64_t heads = object(node).state().type().dims(0).size();
    KEEL_RETURN_IF_ERROR(Divide(node, "the first dimension", heads));
    out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1)
        ->mutable_state()
        ->mutable_type()
        ->mutable_dims(0)
        ->set_size(heads / ranks_);
    return Emit(node, node, HeadsDim(row.out));
  }

  // Where a shape of recurrences.h has heads or groups.
  static int HeadsDim(absl::string_view shape) {
    const size_t dim = shape.find_first_of("HG");
    return dim == absl::string_view::npos ? kReplicated : static_cast<int>(dim);
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
