#include "core/exec/tensor_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
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
#include <optional>
#include <tuple>

#include "core/exec/activation.h"
#include "core/exec/invariant.h"
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
    default:
      TORCH_CHECK(false, "function ", kind, " is not known");
  }
}

// Whether an op along `dim` of x works on each x[i] by itself.
bool GoesByRow(const at::Tensor& x, int64_t dim) {
  return x.dim() > 1 && (dim < 0 ? dim + x.dim() : dim) != 0;
}

at::Tensor Softmax(const at::Tensor& x, int64_t dim) {
  return at::softmax(x, dim, at::kFloat).to(x.scalar_type());
}

at::Tensor Reduce(const at::Tensor& x, int64_t dim, int64_t kind, bool keep_dim) {
  switch (kind) {
    case KEEL_REDUCE_SUM:
      return x.sum(dim, keep_dim, x.scalar_type());
    case KEEL_REDUCE_MEAN:
      return x.mean(dim, keep_dim);
    case KEEL_REDUCE_MAX:
      return at::amax(x, dim, keep_dim);
    default:
      TORCH_CHECK(false, "reduction ", kind, " is not known");
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

at::Tensor GatherRows(const at::Tensor& x, const at::Tensor& indices) {
  const at::Tensor flat = indices.reshape({-1}).to(at::kLong);
  std::vector<int64_t> shape(indices.sizes().begin(), indices.sizes().end());
  shape.insert(shape.end(), x.sizes().begin() + 1, x.sizes().end());
  return at::index_select(x, 0, flat).reshape(shape);
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

at::Tensor SingleOutput(const proto::Node& node, absl::Span<const at::Tensor> in, DType model_dtype,
                        Numerics numerics) {
  const auto ints = [&](int i) { return node.ints(i); };
  switch (node.op()) {
    case proto::OP_ADD:
      return in[0] + in[1];
    case proto::OP_SUB:
      return in[0] - in[1];
    case proto::OP_MUL:
      return in[0] * in[1];
    case proto::OP_DIV:
      return in[0] / in[1];
    case proto::OP_AFFINE: {
      const at::Tensor scaled = node.reals(0) == 1 ? in[0] : in[0] * node.reals(0);
      return node.reals(1) == 0 ? scaled : scaled + node.reals(1);
    }
    case proto::OP_CLAMP:
      return at::clamp(in[0], node.reals(0), node.reals(1));
    case proto::OP_UNARY:
      return ByElement(numerics, in[0], [&](const at::Tensor& x) { return Unary(x, ints(0)); });
    case proto::OP_ACT_MUL:
      return ByElement(numerics, in[0], [&](const at::Tensor& x) { return Activation(x, ints(0)); })
          .mul_(in[1]);
    case proto::OP_MATMUL:
      return Matmul(in[0], in[1], numerics);
    case proto::OP_SOFTMAX:
      return Along(ints(0), numerics, in[0],
                   [&](const at::Tensor& x) { return Softmax(x, ints(0)); });
    case proto::OP_REDUCE:
      return Along(ints(0), numerics, in[0],
                   [&](const at::Tensor& x) { return Reduce(x, ints(0), ints(1), ints(2) != 0); });
    case proto::OP_CUMSUM:
      return at::cumsum(in[0], ints(0), in[0].scalar_type());
    case proto::OP_CAST:
      return in[0].to(TypeOf(ints(0), model_dtype));
    case proto::OP_VIEW:
      return View(in[0], node.ints());
    case proto::OP_PERMUTE:
      return in[0].permute({node.ints().data(), static_cast<size_t>(node.ints_size())});
    case proto::OP_NARROW:
      return in[0].narrow(ints(0), ints(1), ints(2));
    case proto::OP_CAT:
      return at::cat({in.data(), in.size()}, ints(0));
    case proto::OP_REPEAT:
      return in[0].repeat_interleave(ints(1), ints(0));
    case proto::OP_WHERE:
      return at::where(in[0], in[1], in[2]);
    case proto::OP_GATHER_ROWS:
      return GatherRows(in[0], in[1]);
    case proto::OP_PUT_ROWS:
      return in[0].index_copy(0, in[1].to(at::kLong), in[2]);
    case proto::OP_CONSTANT:
      return Constant(node, model_dtype);
    default:
      TORCH_CHECK(false, "op ", static_cast<int>(node.op()), " is not known to this host");
  }
}

}  // namespace

bool IsTensorOp(proto::Op op) { return op >= proto::OP_ADD && op <= proto::OP_CONSTANT; }

void RunTensorOp(const proto::Node& node, absl::Span<const at::Tensor> inputs, DType model_dtype,
                 Numerics numerics, std::vector<at::Tensor>* outputs) {
  if (node.op() == proto::OP_TOPK) {
    auto [values, indices] = at::topk(inputs[0], node.ints(0), -1, true, true);
    outputs->push_back(std::move(values));
    outputs->push_back(std::move(indices));
    return;
  }
  outputs->push_back(SingleOutput(node, inputs, model_dtype, numerics));
}

}  // namespace keel
