#include "core/kernels/fused_rows.h"

#include <ATen/ops/empty.h>

#include <optional>

#include "core/kernels/kernel_type.h"
#include "core/kernels/row_ops.h"

namespace keel {
namespace {

KernelType TypeOf(const at::Tensor& x) {
  const std::optional<KernelType> type = KernelTypeOf(x.scalar_type());
  TORCH_CHECK(type.has_value(), "no kernel for rows of ", x.scalar_type());
  return *type;
}

// From `a` to `y`, both contiguous and of one shape.
ElementRows RowsOf(ElementOp op, Act act, const at::Tensor& a, const at::Tensor& y) {
  ElementRows rows;
  rows.type = TypeOf(a);
  rows.op = op;
  rows.act = act;
  rows.a = a.const_data_ptr();
  rows.y = y.mutable_data_ptr();
  rows.size = a.dim() > 0 ? a.size(-1) : 1;
  rows.rows = rows.size > 0 ? a.numel() / rows.size : 0;
  rows.a_stride = rows.y_stride = rows.size;
  return rows;
}

}  // namespace

at::Tensor FusedNorm(const at::Tensor& x, const NormTensors& norm) {
  for (const at::Tensor* w : {&norm.weight, &norm.bias}) {
    TORCH_CHECK(!w->defined() || (w->dim() == 1 && w->is_contiguous() && w->size(0) == norm.size &&
                                  w->scalar_type() == x.scalar_type()),
                "a norm of ", x.sizes(), " ", x.scalar_type(), " by ", w->sizes(), " ",
                w->scalar_type());
  }
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == norm.size, "a norm of ", x.sizes(), ", expected [.., ",
              norm.size, "]");
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  NormRows rows;
  rows.type = TypeOf(x);
  rows.x = in.const_data_ptr();
  rows.x_stride = norm.size;
  rows.w = norm.weight.defined() ? norm.weight.const_data_ptr() : nullptr;
  rows.b = norm.bias.defined() ? norm.bias.const_data_ptr() : nullptr;
  rows.y = y.mutable_data_ptr();
  rows.size = norm.size;
  rows.rows = in.numel() / norm.size;
  rows.eps = static_cast<float>(norm.eps);
  rows.center = norm.center;
  rows.cast_last = norm.cast_last;
  RunNormRows(rows);
  return y;
}

at::Tensor FusedActivation(const at::Tensor& x, Act act) {
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  RunElementRows(RowsOf(ElementOp::kAct, act, in, y));
  return y;
}

std::optional<at::Tensor> FusedElements(ElementOp op, const at::Tensor& a, const at::Tensor& b,
                                        Act act) {
  const bool fits = a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
                    a.is_contiguous() && b.is_contiguous();
  if (!fits) return std::nullopt;
  at::Tensor y = at::empty(a.sizes(), a.options());
  ElementRows rows = RowsOf(op, act, a, y);
  rows.b = b.const_data_ptr();
  rows.b_stride = rows.size;
  RunElementRows(rows);
  return y;
}

at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  for (const at::Tensor* table : {&cos, &sin}) {
    TORCH_CHECK(x.dim() == 3 && table->dim() == 2 && table->is_contiguous() &&
                    table->size(0) == x.size(0) && table->size(1) * 2 <= x.size(2) &&
                    table->sizes() == cos.sizes() && table->scalar_type() == cos.scalar_type() &&
                    (cos.scalar_type() == x.scalar_type() || cos.scalar_type() == at::kFloat),
                "rope of ", x.sizes(), " ", x.scalar_type(), " by a table of ", table->sizes(), " ",
                table->scalar_type());
  }
  const at::Tensor in = x.stride(2) == 1 ? x : x.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  RopeRows rows;
  rows.type = TypeOf(x);
  rows.x = in.const_data_ptr();
  rows.row_stride = in.stride(0);
  rows.head_stride = in.stride(1);
  rows.wide = cos.scalar_type() != x.scalar_type();
  rows.cos = cos.const_data_ptr();
  rows.sin = sin.const_data_ptr();
  rows.y = y.mutable_data_ptr();
  rows.rows = x.size(0);
  rows.heads = x.size(1);
  rows.size = x.size(2);
  rows.half = cos.size(1);
  RunRope(rows);
  return y;
}

}  // namespace keel
