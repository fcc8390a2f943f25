#include "core/compile/step_function.h"

#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>

#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/compile/lower.h"
#include "core/graph/op_attributes.h"
#include "core/graph/stages.h"
#include "core/tensor/aten.h"
#include "sdk/abi/plugin.h"

namespace keel::ir {
namespace {

class StepFunction {
 public:
  explicit StepFunction(OpRunner& ops) : ops_(ops), spec_(ops.graph().spec()) {}

  absl::StatusOr<Function> Make(const StepFunctionOptions& options) {
    const proto::Function* forward = FindFunction(ops_.graph(), "forward");
    if (forward == nullptr) return absl::InvalidArgumentError("the graph has no forward");
    std::vector<ValueId> arguments;
    for (const proto::Function::Input& input : forward->inputs()) {
      KEEL_ASSIGN_OR_RETURN(const ValueId id, input.name() == "embeds" && !options.takes_embeds
                                                  ? Embeds()
                                                  : Input(input));
      arguments.push_back(id);
    }
    KEEL_ASSIGN_OR_RETURN(function_.outputs, Lower(*forward, arguments, ops_, function_));
    if (!options.ends_in_forward) {
      KEEL_ASSIGN_OR_RETURN(const ValueId logits, Logits(function_.outputs[0]));
      function_.outputs = {logits};
    }
    return std::move(function_);
  }

 private:
  ValueId Named(const char* name, TensorType type) {
    for (size_t i = 0; i < function_.values.size(); ++i) {
      if (function_.values[i].kind == Value::Kind::kInput && function_.values[i].name == name)
        return static_cast<ValueId>(i);
    }
    return AddInput(function_, name, std::move(type));
  }
  ValueId TokenIds() { return Named(kTokenIds, {proto::I64, {{1, kTokens, 1}}}); }

  absl::StatusOr<ValueId> Input(const proto::Function::Input& input) {
    KEEL_ASSIGN_OR_RETURN(TensorType type, FromProto(input.type()));
    if (type.dtype == proto::MODEL) type.dtype = static_cast<proto::DataType>(ops_.dtype());
    return Named(input.name().c_str(), std::move(type));
  }

  // An op whose result has the type of its first operand, or another element type.
  ValueId Add(proto::Node node, std::vector<ValueId> inputs, proto::DataType dtype) {
    Op op{Code::kNode, std::move(node), std::move(inputs), {}, {}};
    op.outputs.push_back(AddValue(function_, {dtype, function_.type(op.inputs[0]).dims}));
    function_.ops.push_back(std::move(op));
    return function_.ops.back().outputs[0];
  }
  ValueId Add(proto::Node node, std::vector<ValueId> inputs) {
    const proto::DataType dtype = function_.type(inputs[0]).dtype;
    return Add(std::move(node), std::move(inputs), dtype);
  }

  absl::StatusOr<ValueId> Embeds() {
    const ValueId ids = TokenIds();
    KEEL_ASSIGN_OR_RETURN(const std::vector<ValueId> rows,
                          Lower(*FindFunction(ops_.graph(), "embed"), {&ids, 1}, ops_, function_));
    const double scale = spec_.embed_scale();
    if (scale == 0 || scale == 1) return rows[0];
    // transformers keeps the scale in the weights' type, which rounds it.
    KEEL_ASSIGN_OR_RETURN(
        const double rounded, CatchAten([&]() -> double {
          return at::scalar_tensor(scale, *ToScalarType(ops_.dtype())).item<double>();
        }));
    return Add(op::Affine::Make(rounded, 0), {rows[0]});
  }

  absl::StatusOr<ValueId> Logits(ValueId hidden) {
    hidden = Contiguous(hidden);
    const ValueId rows = Named(kLogitRows, {proto::I64, {{1, kRows, 1}}});
    TensorType type = function_.type(hidden);
    type.dims[0] = {1, kRows, 1};
    Op gather{Code::kGather, {}, {hidden, rows}, {AddValue(function_, std::move(type))}, {}};
    const ValueId gathered = gather.outputs[0];
    function_.ops.push_back(std::move(gather));
    const proto::Function* own = FindFunction(ops_.graph(), "logits");
    const proto::Function* head = own != nullptr ? own : FindFunction(ops_.graph(), "head");
    KEEL_ASSIGN_OR_RETURN(const std::vector<ValueId> out,
                          Lower(*head, {&gathered, 1}, ops_, function_));
    const ValueId logits = ToFloat(out[0]);
    return own != nullptr ? logits : Scaled(logits);
  }

  ValueId ToFloat(ValueId x) {
    if (function_.type(x).dtype == proto::F32) return Contiguous(x);
    return Add(op::Cast::Make(proto::F32), {x}, proto::F32);
  }

  ValueId Contiguous(ValueId x) {
    if (IsContiguous(function_.values[x])) return x;
    Op copy{Code::kCopy, {}, {x}, {AddValue(function_, function_.type(x))}, {}};
    function_.ops.push_back(std::move(copy));
    return function_.ops.back().outputs[0];
  }

  // As spec says of a head that the plugin left to the host.
  absl::StatusOr<ValueId> Scaled(ValueId logits) {
    if (spec_.logit_scale() != 0 && spec_.logit_scale() != 1)
      logits = Add(op::Affine::Make(spec_.logit_scale(), 0), {logits});
    if (spec_.logit_softcap() <= 0) return logits;
    KEEL_ASSIGN_OR_RETURN(at::Tensor cap, CatchAten([&] {
                            return at::full({1}, spec_.logit_softcap(), at::kFloat);
                          }));
    logits = Add(op::MakeNode(proto::OP_DIV), {logits, AddConstant(function_, std::move(cap))});
    logits = Add(op::Unary::Make(KEEL_UNARY_TANH), {logits});
    return Add(op::Affine::Make(spec_.logit_softcap(), 0), {logits});
  }

  OpRunner& ops_;
  const proto::ModelSpec& spec_;
  Function function_;
};

}  // namespace

absl::StatusOr<Function> MakeStepFunction(OpRunner& ops, const StepFunctionOptions& options) {
  return StepFunction(ops).Make(options);
}

}  // namespace keel::ir
