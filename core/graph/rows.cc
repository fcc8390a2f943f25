#include "core/graph/rows.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/types.h"

namespace keel {
namespace {

class RowFollower {
 public:
  RowFollower(const proto::Graph& graph, const proto::Function& function)
      : graph_(graph), function_(function), row_{1, function.name() == "forward" ? "N" : "R", 1} {}

  absl::Status Run() {
    for (const proto::Function::Input& input : function_.inputs()) {
      KEEL_RETURN_IF_ERROR(AddInput(input));
    }
    for (int i = 0; i < function_.nodes_size(); ++i) {
      const proto::Node& node = function_.nodes(i);
      if (absl::Status status = Follow(node); !status.ok()) {
        return Annotate(status,
                        absl::StrCat(function_.name(), ", node ", i, " (", NodeName(graph_, node),
                                     ") could mix the rows of "
                                     "different requests"));
      }
    }
    for (const uint32_t id : function_.outputs()) {
      if (values_[id - 1].axis == 0) continue;
      return Bad(absl::StrCat("the output of ", function_.name(),
                              " does not follow the rows of its input"),
                 "a row for each");
    }
    return absl::OkStatus();
  }

 private:
  struct Value {
    TensorType type;
    int axis;  // the dimension of the rows, kNoAxis: the same for all
  };

  // An input is the tokens' own: what it held for all of them would be one request's or another's.
  absl::Status AddInput(const proto::Function::Input& input) {
    KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(input.type()));
    int axis = kNoAxis, symbols = 0;
    for (int d = 0; d < type.rank(); ++d) {
      if (type.dims[d] == row_) axis = d;
      symbols += type.dims[d].symbolic();
    }
    if (axis == kNoAxis || symbols != 1) {
      return Bad(absl::StrCat("input '", Shown(input.name()), "' of ", function_.name(), " is ",
                              ToString(type)),
                 absl::StrCat("one dimension ", row_.symbol, " and no other symbol"),
                 "what is not a row's own could reach other requests");
    }
    values_.push_back({std::move(type), axis});
    return absl::OkStatus();
  }

  absl::Status Follow(const proto::Node& node) {
    std::vector<const TensorType*> inputs;
    std::vector<int> axes;
    for (const uint32_t id : node.inputs()) {
      inputs.push_back(id == 0 ? nullptr : &values_[id - 1].type);
      axes.push_back(id == 0 ? kNoAxis : values_[id - 1].axis);
    }
    std::vector<TensorType> outputs;
    for (const proto::Type& type : node.types()) {
      KEEL_ASSIGN_OR_RETURN(TensorType parsed, FromProto(type));
      outputs.push_back(std::move(parsed));
    }
    const AxisCall call{graph_, node, inputs, axes, outputs.empty() ? nullptr : outputs.data()};
    const bool crosses = node.op() == proto::OP_ATTENTION || node.op() == proto::OP_RECUR ||
                         (node.op() == proto::OP_CALL && HasStates(node));
    if (crosses) KEEL_RETURN_IF_ERROR(CheckSequences(call));
    KEEL_ASSIGN_OR_RETURN(const int axis, FindOp(node.op())->axis(call));
    for (TensorType& type : outputs) {
      KEEL_RETURN_IF_ERROR(CheckDims(type, axis));
      values_.push_back({std::move(type), axis});
    }
    return absl::OkStatus();
  }

  bool HasStates(const proto::Node& call) const {
    return !graph_.declarations(static_cast<int>(call.object()) - 1).kernel().states().empty();
  }

  // Attention and recurrences know which rows are a sequence's only of the step's own tokens.
  absl::Status CheckSequences(const AxisCall& call) const {
    if (function_.name() != "forward")
      return Bad(absl::StrCat("is in ", function_.name()), "forward, which alone has sequences");
    if (call.num_inputs() == 0) return Bad("it has no operand", "the step's tokens [N, ..]");
    if (call.axis(0) != 0 || call.in(0).dims[0] != row_) {
      return Bad(absl::StrCat("its first operand is ", ToString(call.in(0))),
                 "the step's tokens [N, ..]");
    }
    const op::Arguments args(call.node);
    if (args.Find("segments") >= 0) {
      return Bad("has the argument 'segments'", "none in forward",
                 "the host bounds it by the sequences");
    }
    if (const int i = args.Find("groups"); i >= 0) return CheckGroups(call.node, *args.operand(i));
    return absl::OkStatus();
  }

  // Tokens may see later ones where the host keeps them in one step: it knows its own groups alone.
  absl::Status CheckGroups(const proto::Node& node, int operand) const {
    const auto id = static_cast<int>(node.inputs(operand));
    if (id >= 1 && id <= function_.inputs_size() && function_.inputs(id - 1).name() == "groups")
      return absl::OkStatus();
    return Bad("has an argument 'groups' that the model computes",
               "the input of forward of that name", "the host cuts no group of it between steps");
  }

  // What the rules promise: one dimension is that of whole rows, no other has their number.
  absl::Status CheckDims(const TensorType& type, int axis) const {
    for (int d = 0; d < type.rank(); ++d) {
      const Extent& dim = type.dims[d];
      if (d == axis ? dim.symbol == row_.symbol && dim.divisor == 1 : !dim.symbolic()) continue;
      return Bad(absl::StrCat("gives ", ToString(type)), "whole rows, along one dimension");
    }
    return absl::OkStatus();
  }

  const proto::Graph& graph_;
  const proto::Function& function_;
  const Extent row_;
  std::vector<Value> values_;  // of value i + 1
};

}  // namespace

absl::Status CheckRowsDontMix(const proto::Graph& graph, const proto::Function& function) {
  return RowFollower(graph, function).Run();
}

}  // namespace keel
