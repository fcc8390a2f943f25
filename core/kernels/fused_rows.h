// RMSNorm and rotary embedding of tensors in one pass over each row (core/kernels/row_ops.h);
// kernel_table.h says when. All throw c10::Error.
#ifndef KEEL_CORE_KERNELS_FUSED_ROWS_H_
#define KEEL_CORE_KERNELS_FUSED_ROWS_H_

#include <ATen/core/Tensor.h>

namespace keel {

// x / sqrt(mean(x^2) + eps) over the last dimension, rounded to x's type, times `weight` [size] of
// that type, rounded again.
at::Tensor FusedRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

// Pairs (i, i + half) of each head of x [N, heads, 2 * half] are rotated by cos and sin [N, half] of
// x's type.
at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_FUSED_ROWS_H_
