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

}  // namespace

at::Tensor FusedRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK(weight.dim() == 1 && weight.is_contiguous() && x.size(-1) == weight.size(0) &&
                  weight.scalar_type() == x.scalar_type(),
              "an RMSNorm of ", x.sizes(), " ", x.scalar_type(), " by ", weight.sizes(), " ",
              weight.scalar_type());
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  RmsNormRows rows;
  rows.type = TypeOf(x);
  rows.x = in.const_data_ptr();
  rows.w = weight.const_data_ptr();
  rows.y = y.mutable_data_ptr();
  rows.size = weight.size(0);
  rows.rows = in.numel() / rows.size;
  rows.eps = static_cast<float>(eps);
  RunRmsNorm(rows);
  return y;
}

at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  for (const at::Tensor* table : {&cos, &sin}) {
    TORCH_CHECK(x.dim() == 3 && table->dim() == 2 && table->is_contiguous() &&
                    table->size(0) == x.size(0) && table->size(1) * 2 == x.size(2) &&
                    table->scalar_type() == x.scalar_type(),
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
  rows.cos = cos.const_data_ptr();
  rows.sin = sin.const_data_ptr();
  rows.y = y.mutable_data_ptr();
  rows.rows = x.size(0);
  rows.heads = x.size(1);
  rows.half = x.size(2) / 2;
  RunRope(rows);
  return y;
}

}  // namespace keel
