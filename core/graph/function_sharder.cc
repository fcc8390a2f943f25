#include "core/graph/function_sharder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/axis.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"

namespace keel {
namespace {

using proto::Node;

// The sizes of a rank's part.
TensorType PartOf(TensorType type, const Split& split) {
  if (!split.whole()) type.dims[split.dim].size /= split.parts;
  return type;
}

// Whether the plan has a say about the object of the op.
bool IsPlanned(proto::Op op) {
  return op == proto::OP_LINEAR || op == proto::OP_EMBED || op == proto::OP_PARAM ||
         op == proto::OP_MOE || op == proto::OP_MOE_ROUTED;
}

// Ops whose operands are aligned at their last dimension, as NumPy's broadcasting does it.
bool Broadcasts(const OpRow& row) { return row.axis == AxisOfElements; }

}  // namespace

absl::StatusOr<proto::Function> FunctionSharder::Run(const proto::Function& function) {
  local_.set_name(function.name());
  for (const proto::Function::Input& input : function.inputs()) {
    *local_.add_inputs() = input;
    KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
    values_.push_back({kWholeValue, type, type, ++last_id_, nullptr, 0, false});
  }
  for (int i = 0; i < function.nodes_size(); ++i) {
    if (absl::Status status = Shard(function.nodes(i)); !status.ok()) {
      return Annotate(
          status, absl::StrCat("tensor parallelism ", ranks_, ": ", function.name(), ", node ", i,
                               " (", NodeName(global_, function.nodes(i)), ")"));
    }
  }
  for (const uint32_t id : function.outputs()) {
    const Value& out = values_[id - 1];
    if (!out.split.whole()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor parallelism ", ranks_, ": the output of ", function.name(), " is ",
          ToString(out.split), ", expected replicated", CheckPlan(nullptr, {&out, 1})));
    }
    local_.add_outputs(out.local_id);
  }
  return std::move(local_);
}

absl::Status FunctionSharder::Shard(const Node& node) {
  operands_.clear();
  for (const uint32_t id : node.inputs()) operands_.push_back(id == 0 ? Value{} : values_[id - 1]);
  switch (node.op()) {
    case proto::OP_LINEAR:
      return ShardLinear(node);
    case proto::OP_EMBED:
      return ShardEmbed(node);
    case proto::OP_MOE:
    case proto::OP_MOE_ROUTED:
      return ShardMoe(node);
    case proto::OP_ATTENTION:
      return ShardAttention(node);
    case proto::OP_PARAM:
      return ShardParam(node);
    case proto::OP_RECUR:
      return ShardRecur(node);
    case proto::OP_MATMUL:
      return ShardMatmul(node);
    case proto::OP_CALL:  // a kernel knows nothing of ranks
      KEEL_RETURN_IF_ERROR(ExpectWhole(node));
      return Emit(node, node, kWholeValue);
    default:
      return ShardByAxis(node);
  }
}

absl::Status FunctionSharder::ShardByAxis(const Node& node) {
  const auto packed = [](const Value& x) { return x.split.packs > 1; };
  if (std::any_of(operands_.begin(), operands_.end(), packed)) return ShardPacked(node);
  KEEL_RETURN_IF_ERROR(CutWholeOperands(node));
  std::vector<const TensorType*> inputs;
  std::vector<int> axes;
  for (const Value& x : operands_) {
    inputs.push_back(x.local_id == 0 ? nullptr : &x.global);
    axes.push_back(x.split.dim);
  }
  TensorType output;
  if (node.types_size() > 0) {
    KEEL_ASSIGN_OR_RETURN(output, FromProto(node.types(0)));
  }
  const absl::StatusOr<int> dim = FindOp(node.op())->axis({global_, node, inputs, axes, &output});
  if (!dim.ok()) {
    const std::string found =
        absl::StrJoin(operands_, ", and ", [this](std::string* out, const Value& x) {
          out->append(x.local_id == 0 ? "nothing" : Describe(x));
        });
    return absl::InvalidArgumentError(absl::StrCat(
        dim.status().message(), found.empty() ? "" : ": ", found, CheckPlan(&node, operands_)));
  }
  KEEL_ASSIGN_OR_RETURN(Split split, CommonSplit(node));
  split.dim = *dim;
  if (split.whole()) split = kWholeValue;
  Node local = node;
  if (node.op() == proto::OP_VIEW && !split.whole())
    KEEL_RETURN_IF_ERROR(DivideView(output, split, local));
  return Emit(node, std::move(local), split);
}

absl::StatusOr<Split> FunctionSharder::CommonSplit(const Node& node) const {
  const Value* first = nullptr;
  for (const Value& x : operands_) {
    if (x.split.whole()) continue;
    if (first == nullptr) first = &x;
    if (x.split.parts == first->split.parts && x.split.packs == first->split.packs) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "takes operands in ", first->split.parts, " and ", x.split.parts,
        " parts: ", Describe(*first), ", and ", Describe(x), CheckPlan(&node, operands_)));
  }
  return first == nullptr ? kWholeValue : first->split;
}

absl::Status FunctionSharder::CutWholeOperands(const Node& node) {
  const auto is_split = [](const Value& x) { return !x.split.whole(); };
  const auto from = std::find_if(operands_.begin(), operands_.end(), is_split);
  if (from == operands_.end()) return absl::OkStatus();
  const OpRow& row = *FindOp(node.op());
  const bool cat = node.op() == proto::OP_CAT;
  if (!cat && !Broadcasts(row)) return absl::OkStatus();
  const Value split = *from;
  for (size_t i = 0; i < operands_.size(); ++i) {
    const Value& x = operands_[i];
    // Others than fixed values only where models need it; else a rule that the plan lacks would not
    // show.
    if (!x.split.whole() || (!x.fixed && !cat)) continue;
    const int dim = split.split.dim + x.global.rank() - split.global.rank();
    if (dim < 0 || x.global.dims[dim].is(1)) continue;
    KEEL_RETURN_IF_ERROR(Cut(static_cast<int>(i), {dim, split.split.parts, split.split.packs}));
  }
  return absl::OkStatus();
}

absl::Status FunctionSharder::Cut(int i, const Split& split) {
  Value& x = operands_[i];
  if (split.parts == 1) return absl::OkStatus();
  if (split.dim >= x.global.rank()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cuts dimension ", split.dim, " of ", Describe(x), ", which has none"));
  }
  const Extent& extent = x.global.dims[split.dim];
  if (extent.symbolic() || extent.size % (split.parts * split.packs) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("dimension ", split.dim, " of ", Describe(x),
                                                   " is ", extent.size, extent.symbol, ", which ",
                                                   split.parts, " parts don't divide"));
  }
  Node* node = local_.add_nodes();
  *node = op::RankPart::Make(split.dim, split.parts, split.packs);
  node->add_inputs(x.local_id);
  x.split = split;
  x.local = PartOf(x.global, split);
  x.local_id = ++last_id_;
  node->add_outputs(x.local_id);
  *node->add_types() = ToProto(x.local);
  return absl::OkStatus();
}

absl::Status FunctionSharder::DivideView(const TensorType& output, const Split& split,
                                         Node& local) const {
  const int64_t size = op::View(local).dims()[split.dim];
  if (output.dims[split.dim].size % split.parts != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        split.parts, " ranks don't divide dimension ", split.dim, " of ", ToString(output),
        ": its operand is ", ToString(operands_[0].split), CheckPlan(&local, operands_)));
  }
  if (size > 0) op::View::SetDim(local, split.dim, size / split.parts);
  return absl::OkStatus();
}

// Packed runs stay together in what works element by element; a piece of whole runs, or a view that
// names the runs, takes them apart.
absl::Status FunctionSharder::ShardPacked(const Node& node) {
  if (Broadcasts(*FindOp(node.op()))) {
    KEEL_RETURN_IF_ERROR(CutWholeOperands(node));
    KEEL_ASSIGN_OR_RETURN(const Split split, CommonSplit(node));
    KEEL_ASSIGN_OR_RETURN(const TensorType output, FromProto(node.types(0)));
    const Value& x = operands_[0];
    const int dim = x.split.dim + output.rank() - x.global.rank();
    if (!x.split.whole()) return Emit(node, node, {dim, split.parts, split.packs});
  }
  const Value& x = operands_[0];
  const Split& split = x.split;
  if (node.op() == proto::OP_NARROW) {
    const op::Narrow narrow(node);
    KEEL_ASSIGN_OR_RETURN(const int dim, NormalizeDim(narrow.dim(), x.global.rank()));
    const int64_t run = x.global.dims[split.dim].size / split.packs;
    if (dim != split.dim) return Emit(node, node, split);
    if (narrow.start() % run == 0 && narrow.length() % run == 0) {
      const int packs = static_cast<int>(narrow.length() / run);
      return Emit(
          node, op::Narrow::Make(dim, narrow.start() / split.parts, narrow.length() / split.parts),
          {dim, split.parts, packs});
    }
  }
  if (node.op() == proto::OP_VIEW && split.dim == x.global.rank() - 1) {
    KEEL_ASSIGN_OR_RETURN(const TensorType output, FromProto(node.types(0)));
    if (output.rank() == x.global.rank() + 1 && output.dims[split.dim].is(split.packs) &&
        std::equal(x.global.dims.begin(), x.global.dims.end() - 1, output.dims.begin())) {
      Node local = node;
      const Split inner{split.dim + 1, split.parts};
      KEEL_RETURN_IF_ERROR(DivideView(output, inner, local));
      return Emit(node, std::move(local), inner);
    }
  }
  return Unsound(node, "takes packed runs apart", x);
}

// Rows of a or columns of b may be split, or a batch dimension; where both are along what is summed
// over, the ranks' products are.
absl::Status FunctionSharder::ShardMatmul(const Node& node) {
  const Value &a = operands_[0], &b = operands_[1];
  const bool summed = !a.split.whole() && a.split.dim == a.global.rank() - 1 &&
                      b.split == Split{b.global.rank() - 2, a.split.parts, a.split.packs};
  if (!summed || a.split.parts != ranks_) return ShardByAxis(node);
  KEEL_RETURN_IF_ERROR(Emit(node, node, kWholeValue));
  return AppendCollective(proto::OP_ALL_REDUCE, 0);
}

absl::Status FunctionSharder::Emit(const Node& node, Node local, const Split& split) {
  std::vector<const TensorType*> inputs;
  bool fixed = node.op() != proto::OP_ATTENTION && node.op() != proto::OP_RECUR;
  const bool planned = IsPlanned(node.op());
  uint32_t origin = planned ? node.object() : 0;
  local.clear_inputs();
  for (const Value& x : operands_) {
    inputs.push_back(x.local_id == 0 ? nullptr : &x.local);
    local.add_inputs(x.local_id);
    fixed = fixed && x.fixed;
    if (!planned && (origin == 0 || !x.split.whole())) origin = x.origin;
  }
  KEEL_ASSIGN_OR_RETURN(const std::vector<TensorType> types, InferTypes(out_.graph, local, inputs));
  local.clear_types();
  local.clear_outputs();
  for (int i = 0; i < node.outputs_size(); ++i) {
    KEEL_ASSIGN_OR_RETURN(const TensorType global, FromProto(node.types(i)));
    const TensorType expected = PartOf(global, split);
    if (types[i] != expected) {
      return absl::InternalError(
          absl::StrCat("gives ", ToString(types[i]), " on a rank, expected ", ToString(expected)));
    }
    values_.push_back({split, global, expected, ++last_id_, &node, origin, fixed});
    local.add_outputs(last_id_);
    *local.add_types() = ToProto(expected);
  }
  *local_.add_nodes() = std::move(local);
  return absl::OkStatus();
}

absl::Status FunctionSharder::AppendCollective(proto::Op op, int dim) {
  Value& newest = values_.back();
  Node* node = local_.add_nodes();
  *node = op == proto::OP_ALL_GATHER ? op::AlongDim::Make(op, dim) : op::MakeNode(op);
  node->add_inputs(newest.local_id);
  newest.local_id = ++last_id_;
  newest.split = kWholeValue;
  newest.local = newest.global;
  node->add_outputs(newest.local_id);
  *node->add_types() = ToProto(newest.local);
  return absl::OkStatus();
}

std::string FunctionSharder::Describe(const Value& x) const {
  return absl::StrCat(x.maker == nullptr
                          ? std::string("an input")
                          : absl::StrCat("the output of ", NodeName(global_, *x.maker)),
                      ", ", ToString(x.split));
}

std::string FunctionSharder::CheckPlan(const Node* node, absl::Span<const Value> values) const {
  std::vector<uint32_t> objects;
  if (node != nullptr && IsPlanned(node->op())) objects.push_back(node->object());
  for (const Value& x : values) {
    if (x.origin != 0) objects.push_back(x.origin);
  }
  std::vector<std::string> rules;
  for (const uint32_t object : objects) {
    const std::string& rule = plan_.styles[object - 1].rule;
    if (std::find(rules.begin(), rules.end(), rule) == rules.end()) rules.push_back(rule);
  }
  if (rules.empty()) return "; check base_model_tp_plan";
  return absl::StrCat("; check ", absl::StrJoin(rules, "; and "));
}

absl::Status FunctionSharder::Unsound(const Node& node, absl::string_view what,
                                      const Value& found) const {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ", which is ", ToString(found.split), CheckPlan(&node, operands_)));
}

}  // namespace keel
