#include "core/ops/tensor_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>

#include <cstring>
#include <limits>
#include <optional>
#include <tuple>

#include "core/graph/op_attributes.h"
#include "core/kernels/kernel_table.h"
#include "core/ops/activation.h"
#include "core/ops/indices.h"
#include "core/ops/invariant.h"
#include "core/tensor/aten.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

at::ScalarType TypeOf(int64_t image, DType model_dtype) {
  const std::optional<DType> dtype =
      image == KEEL_DTYPE_MODEL ? model_dtype : DTypeFromImage(static_cast<uint32_t>(image));
  const std::optional<at::ScalarType> type = dtype ? ToScalarType(*dtype) : std::nullopt;
  TORCH_CHECK(type.has_value(), "data type ", image, " is not known");
  return *type;
}

at::Tensor Unary(const at::Tensor& x, int64_t kind) {
  if (kind >= KEEL_UNARY_ACT) return Activation(x, kind - KEEL_UNARY_ACT);
  switch (kind) {
    case KEEL_UNARY_NEG:
      return at::neg(x);
    case KEEL_UNARY_EXP:
      return at::exp(x);
    case KEEL_UNARY_LOG:
      return at::log(x);
    case KEEL_UNARY_SQRT:
      return at::sqrt(x);
    case KEEL_UNARY_RSQRT:
      return at::rsqrt(x);
    case KEEL_UNARY_TANH:
      return at::tanh(x);
    case KEEL_UNARY_SIGMOID:
      return at::sigmoid(x);
    case KEEL_UNARY_SOFTPLUS:
      return at::softplus(x);
    case KEEL_UNARY_SIN:
      return at::sin(x);
    case KEEL_UNARY_COS:
      return at::cos(x);
    case KEEL_UNARY_ABS:
      return at::abs(x);
    case KEEL_UNARY_FLOOR:
      return x.floor();
    case KEEL_UNARY_EXPM1:
      return x.expm1();
    case KEEL_UNARY_ERF:
      return x.erf();
    case KEEL_UNARY_NOT:
      return x.logical_not();
    default:
      TORCH_CHECK(false, "function ", kind, " is not known");
  }
}

at::Tensor Compare(const at::Tensor& a, const at::Tensor& b, int64_t kind) {
  switch (kind) {
    case KEEL_COMPARE_EQ:
      return a.eq(b);
    case KEEL_COMPARE_NE:
      return a.ne(b);
    case KEEL_COMPARE_LT:
      return a.lt(b);
    case KEEL_COMPARE_LE:
      return a.le(b);
    case KEEL_COMPARE_GT:
      return a.gt(b);
    case KEEL_COMPARE_GE:
      return a.ge(b);
    default:
      TORCH_CHECK(false, "comparison ", kind, " is not known");
  }
}

at::Tensor Logical(const at::Tensor& a, const at::Tensor& b, int64_t kind) {
  switch (kind) {
    case KEEL_LOGICAL_AND:
      return a.logical_and(b);
    case KEEL_LOGICAL_OR:
      return a.logical_or(b);
    case KEEL_LOGICAL_XOR:
      return a.logical_xor(b);
    default:
      TORCH_CHECK(false, "logical function ", kind, " is not known");
  }
}

// In x's own type: a double would make floating point of whole numbers.
at::Scalar NumberFor(const at::Tensor& x, double value) {
  return at::isIntegralType(x.scalar_type(), false) ? at::Scalar(static_cast<int64_t>(value))
                                                    : at::Scalar(value);
}

at::Tensor Affine(const at::Tensor& x, const op::Affine& affine) {
  const at::Tensor scaled = affine.mul() == 1 ? x : x * NumberFor(x, affine.mul());
  return affine.add() == 0 ? scaled : scaled + NumberFor(x, affine.add());
}

at::Tensor Clamp(const at::Tensor& x, const op::Clamp& clamp) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  at::Tensor y = x;
  if (clamp.low() > -kNone) y = y.clamp_min(NumberFor(x, clamp.low()));
  if (clamp.high() < kNone) y = y.clamp_max(NumberFor(x, clamp.high()));
  return y;
}

// Whether an op along `dim` of x works on each x[i] by itself.
bool GoesByRow(const at::Tensor& x, int64_t dim) {
  return x.dim() > 1 && (dim < 0 ? dim + x.dim() : dim) != 0;
}

at::Tensor Softmax(const at::Tensor& x, int64_t dim) {
  return at::softmax(x, dim, at::kFloat).to(x.scalar_type());
}

at::Tensor Reduce(const at::Tensor& x, const op::Reduce& reduce) {
  const int64_t dim = reduce.dim();
  const bool keep_dim = reduce.keep_dim();
  switch (reduce.kind()) {
    case KEEL_REDUCE_SUM:
      return x.sum(dim, keep_dim, x.scalar_type());
    case KEEL_REDUCE_MEAN:
      return x.mean(dim, keep_dim);
    case KEEL_REDUCE_MAX:
      return at::amax(x, dim, keep_dim);
    default:
      TORCH_CHECK(false, "reduction ", reduce.kind(), " is not known");
  }
}

at::Tensor View(const at::Tensor& x, absl::Span<const int64_t> dims) {
  std::vector<int64_t> shape(dims.begin(), dims.end());
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 0) continue;
    TORCH_CHECK(static_cast<int64_t>(i) < x.dim(), "view keeps dimension ", i, " of ", x.sizes());
    shape[i] = x.size(static_cast<int64_t>(i));
  }
  return x.reshape(shape);
}

at::Tensor Permute(const at::Tensor& x, absl::Span<const int64_t> order) {
  return x.permute({order.data(), order.size()});
}

at::Tensor Narrow(const at::Tensor& x, const op::Narrow& narrow) {
  return x.narrow(narrow.dim(), narrow.start(), narrow.length());
}

at::Tensor GatherRows(const at::Tensor& x, const at::Tensor& indices) {
  const at::Tensor flat = ClampedIndices(indices.reshape({-1}), x.size(0));
  std::vector<int64_t> shape(indices.sizes().begin(), indices.sizes().end());
  shape.insert(shape.end(), x.sizes().begin() + 1, x.sizes().end());
  return at::index_select(x, 0, flat).reshape(shape);
}

at::Tensor Take(const at::Tensor& x, const at::Tensor& indices, int64_t dim) {
  return x.take_along_dim(ClampedIndices(indices, x.size(dim)), dim);
}

at::Tensor Scatter(const at::Tensor& x, const at::Tensor& indices, const at::Tensor& values,
                   int64_t dim) {
  return x.scatter(dim, ClampedIndices(indices, x.size(dim)), values);
}

at::Tensor Constant(const proto::Node& node, DType model_dtype) {
  TORCH_CHECK(node.types_size() == 1, "a constant has no type");
  std::vector<int64_t> shape;
  for (const proto::Dim& dim : node.types(0).dims()) shape.push_back(dim.size());
  at::Tensor out = at::empty(shape, TypeOf(node.types(0).dtype(), model_dtype));
  TORCH_CHECK(out.nbytes() == node.data().size(), "a constant of ", out.nbytes(), " bytes has ",
              node.data().size(), " bytes of data");
  std::memcpy(out.data_ptr(), node.data().data(), node.data().size());
  return out;
}

// f, which works along `dim` with a sum or an exponential in it.
at::Tensor Along(int64_t dim, Numerics numerics, const at::Tensor& x, TensorFunction f) {
  return GoesByRow(x, dim) ? ByRow(numerics, x, f) : f(x);
}

at::Tensor Matmul(const at::Tensor& a, const at::Tensor& b, Numerics numerics) {
  return numerics == Numerics::kInvariant ? MatmulInvariant(a, b) : at::matmul(a, b);
}

// Of two that are alike, by a kernel; nullopt: ATen's operators do it.
std::optional<at::Tensor> Elements(ElementOp op, const at::Tensor& a, const at::Tensor& b,
                                   Numerics numerics, Act act = Act::kSilu) {
  if (a.scalar_type() != b.scalar_type()) return std::nullopt;
  const auto* kernel = ElementKernel(KernelKey::Of(a, numerics));
  return kernel == nullptr ? std::nullopt : kernel->run(op, a, b, act);
}

at::Tensor SingleOutput(const proto::Node& node, absl::Span<const at::Tensor> in, DType model_dtype,
                        Numerics numerics) {
  switch (node.op()) {
    case proto::OP_ADD:
      if (auto y = Elements(ElementOp::kAdd, in[0], in[1], numerics)) return *y;
      return in[0] + in[1];
    case proto::OP_SUB:
      if (auto y = Elements(ElementOp::kSub, in[0], in[1], numerics)) return *y;
      return in[0] - in[1];
    case proto::OP_MUL:
      if (auto y = Elements(ElementOp::kMul, in[0], in[1], numerics)) return *y;
      return in[0] * in[1];
    case proto::OP_DIV:
      return in[0] / in[1];
    case proto::OP_AFFINE:
      return Affine(in[0], op::Affine(node));
    case proto::OP_CLAMP:
      return Clamp(in[0], op::Clamp(node));
    case proto::OP_UNARY:
      return ByElement(numerics, in[0],
                       [&](const at::Tensor& x) { return Unary(x, op::Unary(node).kind()); });
    case proto::OP_ACT_MUL:
      if (auto y = Elements(ElementOp::kActMul, in[0], in[1], numerics,
                            static_cast<Act>(op::ActMul(node).act() - KEEL_ACT_SILU))) {
        return *y;
      }
      return ByElement(numerics, in[0],
                       [&](const at::Tensor& x) { return Activation(x, op::ActMul(node).act()); })
          .mul_(in[1]);
    case proto::OP_MATMUL:
      return Matmul(in[0], in[1], numerics);
    case proto::OP_SOFTMAX:
      return Along(op::AlongDim(node).dim(), numerics, in[0],
                   [&](const at::Tensor& x) { return Softmax(x, op::AlongDim(node).dim()); });
    case proto::OP_REDUCE:
      return Along(op::Reduce(node).dim(), numerics, in[0],
                   [&](const at::Tensor& x) { return Reduce(x, op::Reduce(node)); });
    case proto::OP_CUMSUM:
      return at::cumsum(in[0], op::AlongDim(node).dim(), in[0].scalar_type());
    case proto::OP_CAST:
      return in[0].to(TypeOf(op::Cast(node).dtype(), model_dtype));
    case proto::OP_VIEW:
      return View(in[0], op::View(node).dims());
    case proto::OP_PERMUTE:
      return Permute(in[0], op::Permute(node).order());
    case proto::OP_NARROW:
      return Narrow(in[0], op::Narrow(node));
    case proto::OP_CAT:
      return at::cat({in.data(), in.size()}, op::AlongDim(node).dim());
    case proto::OP_REPEAT:
      return in[0].repeat_interleave(op::Repeat(node).times(), op::Repeat(node).dim());
    case proto::OP_WHERE:
      return at::where(in[0], in[1], in[2]);
    case proto::OP_GATHER_ROWS:
      return GatherRows(in[0], in[1]);
    case proto::OP_PUT_ROWS:
      return in[0].index_copy(0, ClampedIndices(in[1], in[0].size(0)), in[2]);
    case proto::OP_CONSTANT:
      return Constant(node, model_dtype);
    case proto::OP_COMPARE:
      return Compare(in[0], in[1], op::OfKind(node).kind());
    case proto::OP_LOGICAL:
      return Logical(in[0], in[1], op::OfKind(node).kind());
    case proto::OP_BINARY:
      return op::OfKind(node).kind() == KEEL_BINARY_MIN ? in[0].minimum(in[1])
                                                        : in[0].maximum(in[1]);
    case proto::OP_TAKE:
      return Take(in[0], in[1], op::AlongDim(node).dim());
    case proto::OP_SCATTER:
      return Scatter(in[0], in[1], in[2], op::AlongDim(node).dim());
    case proto::OP_EXPAND:
      return in[0].expand_as(in[1]).contiguous();
    default:
      TORCH_CHECK(false, "op ", static_cast<int>(node.op()), " is not known to this host");
  }
}

}  // namespace

bool IsTensorOp(proto::Op op) {
  return (op >= proto::OP_ADD && op <= proto::OP_CONSTANT) ||
         (op >= proto::OP_COMPARE && op != proto::OP_RANK_PART);
}

void RunTensorOp(const proto::Node& node, absl::Span<const at::Tensor> inputs, DType model_dtype,
                 Numerics numerics, std::vector<at::Tensor>* outputs) {
  if (node.op() == proto::OP_TOPK) {
    auto [values, indices] = at::topk(inputs[0], op::TopK(node).k(), -1, true, true);
    outputs->push_back(std::move(values));
    outputs->push_back(std::move(indices));
    return;
  }
  outputs->push_back(SingleOutput(node, inputs, model_dtype, numerics));
}

}  // namespace keel
