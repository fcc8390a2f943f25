#include "core/compile/lower.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/compile/views.h"
#include "core/graph/op_attributes.h"

namespace keel::ir {
namespace {

class Lowering {
 public:
  Lowering(OpRunner& ops, Function& function) : ops_(ops), function_(function) {}

  absl::StatusOr<std::vector<ValueId>> Run(const proto::Function& source,
                                           absl::Span<const ValueId> arguments) {
    values_.assign(1, kNoValue);
    values_.insert(values_.end(), arguments.begin(), arguments.end());
    for (const proto::Node& node : source.nodes()) {
      const absl::Status status = Add(node);
      if (!status.ok()) return Annotate(status, source.name());
    }
    std::vector<ValueId> outputs;
    for (const uint32_t id : source.outputs()) outputs.push_back(values_[id]);
    return outputs;
  }

 private:
  absl::StatusOr<TensorType> TypeOf(const proto::Type& type) const {
    KEEL_ASSIGN_OR_RETURN(TensorType out, FromProto(type));
    if (out.dtype == proto::MODEL) out.dtype = static_cast<proto::DataType>(ops_.dtype());
    if (!NumElements(out.dims).has_value()) {
      return absl::UnimplementedError(
          absl::StrCat("a value of two symbols, ", keel::ToString(out)));
    }
    return out;
  }

  absl::Status Add(const proto::Node& node) {
    switch (node.op()) {
      case proto::OP_MARK:
        return absl::OkStatus();
      case proto::OP_PARAM:
      case proto::OP_CONSTANT:
        return AddConstantNode(node);
      case proto::OP_VIEW:
      case proto::OP_PERMUTE:
      case proto::OP_NARROW:
      case proto::OP_CAST:
        return AddViewNode(node);
      default:
        return AddOp(node);
    }
  }

  absl::Status AddConstantNode(const proto::Node& node) {
    std::vector<at::Tensor> results;
    KEEL_RETURN_IF_ERROR(ops_.Run(node, {}, &results));
    values_.push_back(AddConstant(function_, results[0]));
    return absl::OkStatus();
  }

  absl::Status AddViewNode(const proto::Node& node) {
    KEEL_ASSIGN_OR_RETURN(TensorType type, TypeOf(node.types(0)));
    const ValueId of = values_[node.inputs(0)];
    if (node.op() == proto::OP_CAST) {
      if (type.dtype != function_.type(of).dtype) return AddOp(node);
      values_.push_back(of);
      return absl::OkStatus();
    }
    std::optional<Layout> layout = LayoutOf(node, of, type);
    if (layout.has_value()) {
      values_.push_back(AddView(function_, of, std::move(type), *std::move(layout)));
    } else if (node.op() == proto::OP_VIEW) {
      const ValueId copy = AddCopy(of);
      layout = Reshaped(function_.values[copy], type.dims);
      values_.push_back(AddView(function_, copy, std::move(type), *std::move(layout)));
    } else {
      return AddOp(node);
    }
    return absl::OkStatus();
  }

  std::optional<Layout> LayoutOf(const proto::Node& node, ValueId of, const TensorType& type) {
    const Value& value = function_.values[of];
    if (node.op() == proto::OP_VIEW) return Reshaped(value, type.dims);
    if (node.op() == proto::OP_PERMUTE) return Permuted(value, op::Permute(node).order());
    const op::Narrow narrow(node);
    return Narrowed(value, *NormalizeDim(narrow.dim(), value.type.rank()), narrow.start());
  }

  ValueId AddCopy(ValueId of) {
    Op op{Code::kCopy, {}, {of}, {}, {}};
    op.outputs.push_back(AddValue(function_, function_.type(of)));
    function_.ops.push_back(std::move(op));
    return function_.ops.back().outputs[0];
  }

  absl::Status AddOp(const proto::Node& node) {
    Op op{node.op() == proto::OP_LINEAR ? Code::kLinears : Code::kNode, node, {}, {}, {}};
    if (op.code == Code::kLinears) op.objects.push_back(node.object());
    for (const uint32_t id : node.inputs()) op.inputs.push_back(values_[id]);
    for (const proto::Type& type : node.types()) {
      KEEL_ASSIGN_OR_RETURN(TensorType resolved, TypeOf(type));
      op.outputs.push_back(AddValue(function_, std::move(resolved)));
      values_.push_back(op.outputs.back());
    }
    function_.ops.push_back(std::move(op));
    return absl::OkStatus();
  }

  OpRunner& ops_;
  Function& function_;
  std::vector<ValueId> values_;  // by the recorded function's numbers
};

}  // namespace

absl::StatusOr<std::vector<ValueId>> Lower(const proto::Function& source,
                                           absl::Span<const ValueId> arguments, OpRunner& ops,
                                           Function& function) {
  return Lowering(ops, function).Run(source, arguments);
}

}  // namespace keel::ir
