#include "core/compile/linears_call.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

#include <optional>
#include <utility>
#include <vector>

#include "core/kernels/packed_linear.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// Over packed panels: x is converted once for all of them.
class PackedLinearsCall : public Call {
 public:
  struct Linear {
    PackedLinear packed;  // all but pointers into the arena and the number of rows
    Place y;
  };
  PackedLinearsCall(RowsOperand x, std::optional<RowsOperand> residual, std::vector<Linear> linears)
      : x_(std::move(x)), residual_(std::move(residual)), linears_(std::move(linears)) {
    for (const Linear& linear : linears_) packed_.push_back(linear.packed);
  }

  absl::Status Run(const Frame& frame) override {
    for (size_t i = 0; i < packed_.size(); ++i) {
      PackedLinear& packed = packed_[i];
      packed.m = frame(x_.rows);
      packed.x = frame(x_.place);
      packed.y = frame(linears_[i].y);
      if (residual_.has_value()) packed.residual = frame(residual_->place);
    }
    frame.Kernel([&] { RunPackedLinears(packed_); });
    return absl::OkStatus();
  }

 private:
  const RowsOperand x_;
  const std::optional<RowsOperand> residual_;
  const std::vector<Linear> linears_;
  std::vector<PackedLinear> packed_;
};

// Weights that are not packed: by the kernel table, over tensors that view the arena.
class TensorLinearsCall : public Call {
 public:
  TensorLinearsCall(std::vector<const LinearWeight*> weights, TensorOperand x,
                    TensorOperand residual, std::vector<TensorOperand> y)
      : weights_(std::move(weights)),
        x_(std::move(x)),
        residual_(std::move(residual)),
        y_(std::move(y)) {}

  absl::Status Run(const Frame& frame) override {
    return CatchAten([&] {
      const at::Tensor x = x_.In(frame), residual = residual_.In(frame);
      for (size_t i = 0; i < weights_.size(); ++i) {
        at::Tensor y = y_[i].In(frame), product;
        frame.Kernel([&] { product = weights_[i]->Apply(x); });
        if (residual.defined()) {
          at::add_out(y, residual, product);
        } else {
          y.copy_(product);
        }
      }
      return absl::OkStatus();
    });
  }
  bool is_fallback() const override { return true; }

 private:
  const std::vector<const LinearWeight*> weights_;
  const TensorOperand x_, residual_;
  const std::vector<TensorOperand> y_;
};

// nullopt where one of them is not packed for x's type.
std::optional<std::vector<PackedLinearsCall::Linear>> Packed(
    const ir::Op& op, const Operands& operands, const Weights& weights, const RowsOperand& x,
    const std::optional<RowsOperand>& residual) {
  const std::optional<KernelType> type = operands.kernel_type(op.inputs[0]);
  std::vector<PackedLinearsCall::Linear> linears;
  for (size_t i = 0; i < op.objects.size(); ++i) {
    const PackedLinear* packed = weights.linear(op.objects[i]).packed();
    if (packed == nullptr || packed->type != type || packed->k != x.size) return std::nullopt;
    PackedLinearsCall::Linear linear{*packed, operands.place(op.outputs[i])};
    linear.packed.ldx = x.stride;
    linear.packed.ldy = packed->n;
    if (residual.has_value()) linear.packed.ldr = residual->stride;
    linears.push_back(std::move(linear));
  }
  return linears;
}

}  // namespace

CallPtr MakeLinearsCall(const ir::Op& op, const Operands& operands, const Weights& weights) {
  const ir::ValueId residual_id = op.inputs.size() > 1 ? op.inputs[1] : ir::kNoValue;
  const std::optional<RowsOperand> x = operands.rows(op.inputs[0]);
  std::optional<RowsOperand> residual;
  if (residual_id != ir::kNoValue) residual = operands.rows(residual_id);
  if (x.has_value() && residual.has_value() == (residual_id != ir::kNoValue)) {
    auto linears = Packed(op, operands, weights, *x, residual);
    if (linears.has_value()) {
      return std::make_unique<PackedLinearsCall>(*x, std::move(residual), *std::move(linears));
    }
  }
  std::vector<const LinearWeight*> tensors;
  std::vector<TensorOperand> y;
  for (const uint32_t object : op.objects) tensors.push_back(&weights.linear(object));
  for (const ir::ValueId id : op.outputs) y.push_back(operands.tensor(id));
  return std::make_unique<TensorLinearsCall>(std::move(tensors), operands.tensor(op.inputs[0]),
                                             operands.tensor(residual_id), std::move(y));
}

}  // namespace keel
