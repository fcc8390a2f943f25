#include "core/compile/row_calls.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/compile/rope_operand.h"
#include "core/graph/op_attributes.h"
#include "core/kernels/element_rows.h"
#include "core/kernels/parallel.h"
#include "core/kernels/row_ops.h"
#include "core/ops/norm.h"
#include "core/tensor/aten.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

// A kernel over rows whose pointers and number of rows are a step's.
class NormCall : public Call {
 public:
  NormCall(NormRows rows, RowsOperand x, Place y) : rows_(rows), x_(x), y_(y) {}
  NormCall(NormRows rows, RowsOperand x, Place y, Place add, Place sum)
      : rows_(rows), x_(x), y_(y), add_(add), sum_(sum) {}

  absl::Status Run(const Frame& frame) override {
    rows_.rows = frame(x_.rows);
    rows_.x = frame(x_.place);
    rows_.y = frame(y_);
    if (add_.has_value()) rows_.add = frame(*add_), rows_.sum = frame(*sum_);
    frame.Kernel([&] { RunNormRows(rows_); });
    return absl::OkStatus();
  }

 private:
  NormRows rows_;
  const RowsOperand x_;
  const Place y_;
  const std::optional<Place> add_ = std::nullopt, sum_ = std::nullopt;
};

// `x`, or with an operand more what is added to it; the last output is the norm's.
CallPtr MakeNorm(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  const proto::Norm& norm = ops.graph().declarations(static_cast<int>(op.node.object()) - 1).norm();
  const auto& weights = ops.weights().of<NormWeight>(op.node.object());
  const std::optional<KernelType> type = operands.kernel_type(op.inputs[0]);
  const std::optional<RowsOperand> x = operands.rows(op.inputs[0]);
  if (!type.has_value() || !x.has_value() ||
      !HasWeightsOf(weights, *ToScalarType(operands.value(op.inputs[0]).dtype()))) {
    return nullptr;
  }
  NormRows rows;
  rows.type = *type;
  rows.x_stride = x->stride;
  rows.w = weights.weight.defined() ? weights.weight.const_data_ptr() : nullptr;
  rows.b = weights.bias.defined() ? weights.bias.const_data_ptr() : nullptr;
  rows.size = x->size;
  rows.eps = static_cast<float>(norm.eps());
  rows.center = norm.kind() == proto::Norm::LAYER;
  rows.cast_last = norm.cast_last();
  const Place y = operands.place(op.outputs.back());
  if (op.code != ir::Code::kAddNorm) return std::make_unique<NormCall>(rows, *x, y);
  const std::optional<RowsOperand> add = operands.rows(op.inputs[1]);
  if (!add.has_value()) return nullptr;
  rows.add_stride = add->stride;
  return std::make_unique<NormCall>(rows, *x, y, add->place, operands.place(op.outputs[0]));
}

class RopeCall : public Call {
 public:
  RopeCall(RopeOperand rope, RopeRows rows, Place x, StepSize tokens, Place y)
      : rope_(std::move(rope)), rows_(rows), x_(x), tokens_(tokens), y_(y) {}

  absl::Status Run(const Frame& frame) override {
    return CatchAten([&] {
      const CosSin table = rope_.Table(frame);
      rows_.cos = table.cos.const_data_ptr();
      rows_.sin = table.sin.const_data_ptr();
      rows_.rows = frame(tokens_);
      rows_.x = frame(x_);
      rows_.y = frame(y_);
      frame.Kernel([&] { RunRope(rows_); });
      return absl::OkStatus();
    });
  }

 private:
  RopeOperand rope_;
  RopeRows rows_;
  const Place x_;
  const StepSize tokens_;
  const Place y_;
};

CallPtr MakeRope(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  std::optional<RopeOperand> rope =
      RopeOperand::Of(op.node.object(), op.inputs[1], operands.value(op.inputs[0]), operands, ops);
  if (!rope.has_value()) return nullptr;
  const ir::Value& x = operands.value(op.inputs[0]);
  RopeRows rows;
  rows.type = *operands.kernel_type(op.inputs[0]);
  rows.row_stride = x.layout.strides[0].size;
  rows.head_stride = x.layout.strides[1].size;
  rows.heads = x.type.dims[1].size;
  rows.size = x.type.dims[2].size;
  rows.half = rope->half();
  return std::make_unique<RopeCall>(*std::move(rope), rows, operands.place(op.inputs[0]),
                                    Operands::size(x.type.dims[0]), operands.place(op.outputs[0]));
}

class ElementCall : public Call {
 public:
  ElementCall(ElementRows rows, RowsOperand a, std::optional<Place> b, Place y)
      : rows_(rows), a_(a), b_(b), y_(y) {}

  absl::Status Run(const Frame& frame) override {
    rows_.rows = frame(a_.rows);
    rows_.a = frame(a_.place);
    if (b_.has_value()) rows_.b = frame(*b_);
    rows_.y = frame(y_);
    frame.Kernel([&] { RunElementRows(rows_); });
    return absl::OkStatus();
  }

 private:
  ElementRows rows_;
  const RowsOperand a_;
  const std::optional<Place> b_;
  const Place y_;
};

// What the op is element by element; nullopt: none of the kernel's.
std::optional<std::pair<ElementOp, Act>> ElementOpOf(const proto::Node& node) {
  const auto act = [](int64_t kind) { return static_cast<Act>(kind - KEEL_ACT_SILU); };
  switch (node.op()) {
    case proto::OP_ADD:
      return std::pair(ElementOp::kAdd, Act());
    case proto::OP_SUB:
      return std::pair(ElementOp::kSub, Act());
    case proto::OP_MUL:
      return std::pair(ElementOp::kMul, Act());
    case proto::OP_ACT_MUL:
      return std::pair(ElementOp::kActMul, act(op::ActMul(node).act()));
    case proto::OP_UNARY: {
      const int64_t kind = op::Unary(node).kind();
      if (kind < KEEL_UNARY_ACT) return std::nullopt;
      return std::pair(ElementOp::kAct, act(kind - KEEL_UNARY_ACT));
    }
    default:
      return std::nullopt;
  }
}

// b as rows beside those of a; one of a row's size is the same beside each.
std::optional<RowsOperand> Beside(const ir::Op& op, const Operands& operands) {
  const TensorType& a = operands.value(op.inputs[0]).type;
  const TensorType& b = operands.value(op.inputs[1]).type;
  if (b.dims.empty() || b.dims.back() != a.dims.back()) return std::nullopt;
  std::optional<RowsOperand> rows = operands.rows(op.inputs[1]);
  if (!rows.has_value() || a.dims == b.dims) return rows;
  const bool one_row = ir::NumElements(b.dims) == b.dims.back();
  if (!one_row || a.dims != operands.value(op.outputs[0]).type.dims) return std::nullopt;
  rows->stride = 0;
  return rows;
}

CallPtr MakeElements(const ir::Op& op, const Operands& operands) {
  const auto kind = ElementOpOf(op.node);
  if (!kind.has_value()) return nullptr;
  const std::optional<KernelType> type = operands.kernel_type(op.inputs[0]);
  const std::optional<RowsOperand> a = operands.rows(op.inputs[0]);
  if (!type.has_value() || !a.has_value()) return nullptr;
  ElementRows rows;
  rows.type = *type;
  rows.op = kind->first;
  rows.act = kind->second;
  rows.size = rows.y_stride = a->size;
  rows.a_stride = a->stride;
  if (rows.op == ElementOp::kAct)
    return std::make_unique<ElementCall>(rows, *a, std::nullopt, operands.place(op.outputs[0]));
  const std::optional<RowsOperand> b = Beside(op, operands);
  if (!b.has_value()) return nullptr;
  rows.b_stride = b->stride;
  return std::make_unique<ElementCall>(rows, *a, b->place, operands.place(op.outputs[0]));
}

// Numbers of 16 bits in fp32: logits as they are sampled from.
class WidenCall : public Call {
 public:
  WidenCall(KernelType type, Place x, StepSize size, Place y) : x_(x), size_(size), y_(y) {
    elements_.type = type;
  }

  absl::Status Run(const Frame& frame) override {
    elements_.x = frame(x_);
    elements_.y = reinterpret_cast<float*>(frame(y_));
    elements_.size = frame(size_);
    frame.Kernel([&] { RunWideElements(elements_); });
    return absl::OkStatus();
  }

 private:
  WideElements elements_;
  const Place x_;
  const StepSize size_;
  const Place y_;
};

// Null: another cast, or not of what lies side by side.
CallPtr MakeWiden(const ir::Op& op, const Operands& operands) {
  const ir::Value& x = operands.value(op.inputs[0]);
  const std::optional<KernelType> type = operands.kernel_type(op.inputs[0]);
  const std::optional<Extent> size = ir::NumElements(x.type.dims);
  if (!type.has_value() || !size.has_value() || !ir::IsContiguous(x) ||
      operands.value(op.outputs[0]).dtype() != DType::kF32) {
    return nullptr;
  }
  return std::make_unique<WidenCall>(*type, operands.place(op.inputs[0]), Operands::size(*size),
                                     operands.place(op.outputs[0]));
}

// Rows of a table by number: those of an embedding, or the step's own that logits are wanted of.
class PickRowsCall : public Call {
 public:
  PickRowsCall(RowsOperand table, int64_t row_bytes, int64_t element_bytes, Place numbers,
               StepSize count, int64_t last, Place y)
      : table_(table),
        row_bytes_(row_bytes),
        stride_bytes_(table.stride * element_bytes),
        numbers_(numbers),
        count_(count),
        last_(last),
        y_(y) {}

  absl::Status Run(const Frame& frame) override {
    const char* table = frame(table_.place);
    char* y = frame(y_);
    const auto* numbers = reinterpret_cast<const int64_t*>(frame(numbers_));
    const int64_t last = last_ >= 0 ? last_ : frame(table_.rows) - 1;
    const int64_t grain = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(1, row_bytes_));
    frame.Kernel([&] {
      ParallelFor(frame(count_), grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = std::clamp<int64_t>(numbers[i], 0, last);
          std::memcpy(y + i * row_bytes_, table + row * stride_bytes_, row_bytes_);
        }
      });
    });
    return absl::OkStatus();
  }

 private:
  const RowsOperand table_;
  const int64_t row_bytes_, stride_bytes_;
  const Place numbers_;
  const StepSize count_;
  const int64_t last_;  // row; -1: the table's last
  const Place y_;
};

CallPtr MakeEmbed(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  const auto& weights = ops.weights().of<EmbeddingWeight>(op.node.object());
  const ir::Value& ids = operands.value(op.inputs[0]);
  if (weights.first.has_value() || ids.type.rank() != 1 || ids.dtype() != DType::kI64 ||
      !ir::IsContiguous(ids) || !weights.rows.is_contiguous() ||
      weights.rows.scalar_type() != *ToScalarType(ops.dtype())) {
    return nullptr;
  }
  RowsOperand table;
  table.place.in = Place::In::kConstant;
  table.place.constant = static_cast<const char*>(weights.rows.const_data_ptr());
  table.size = table.stride = weights.rows.size(1);
  const int64_t element = static_cast<int64_t>(weights.rows.element_size());
  return std::make_unique<PickRowsCall>(
      table, table.size * element, element, operands.place(op.inputs[0]),
      Operands::size(ids.type.dims[0]), weights.rows.size(0) - 1, operands.place(op.outputs[0]));
}

CallPtr MakeGather(const ir::Op& op, const Operands& operands) {
  const ir::Value& x = operands.value(op.inputs[0]);
  const int inner = x.type.rank() - 1;
  if (!ir::IsDenseInLast(x, inner) || x.layout.strides[0].symbolic()) return nullptr;
  const std::vector<Extent>& dims = x.type.dims;
  RowsOperand table;
  table.place = operands.place(op.inputs[0]);
  table.rows = Operands::size(dims[0]);
  table.size = ir::NumElements({dims.begin() + 1, dims.end()})->size;
  table.stride = x.layout.strides[0].size;
  const int64_t element = BytesOf(x.dtype());
  return std::make_unique<PickRowsCall>(
      table, table.size * element, element, operands.place(op.inputs[1]),
      Operands::size(operands.value(op.inputs[1]).type.dims[0]), -1, operands.place(op.outputs[0]));
}

}  // namespace

CallPtr MakeRowCall(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  if (op.code == ir::Code::kGather) return MakeGather(op, operands);
  if (op.code == ir::Code::kAddNorm) return MakeNorm(op, operands, ops);
  switch (op.node.op()) {
    case proto::OP_NORM:
      return MakeNorm(op, operands, ops);
    case proto::OP_ROPE:
      return MakeRope(op, operands, ops);
    case proto::OP_EMBED:
      return MakeEmbed(op, operands, ops);
    case proto::OP_CAST:
      return MakeWiden(op, operands);
    default:
      return MakeElements(op, operands);
  }
}

}  // namespace keel
