// Norms, rotary embedding and activations of tensors in one pass over each row (core/kernels/row_ops.h,
// element_rows.h); kernel_table.h says when. All throw c10::Error.
#ifndef KEEL_CORE_KERNELS_FUSED_ROWS_H_
#define KEEL_CORE_KERNELS_FUSED_ROWS_H_

#include <ATen/core/Tensor.h>

#include <optional>

#include "core/kernels/element_rows.h"

namespace keel {

// An RMSNorm, or with `center` a LayerNorm, over a last dimension of `size`, as row_ops.h says.
struct NormTensors {
  int64_t size = 0;
  at::Tensor weight, bias;  // [size], of x's type; may be undefined
  double eps = 0;
  bool center = false, cast_last = false;
};
at::Tensor FusedNorm(const at::Tensor& x, const NormTensors& norm);

// Element by element.
at::Tensor FusedActivation(const at::Tensor& x, Act act);

// kAdd, kSub or kMul of two of the same shape and type; kActMul: act(a) * b. Null where they are not contiguous.
std::optional<at::Tensor> FusedElements(ElementOp op, const at::Tensor& a, const at::Tensor& b,
                                        Act act);

// Pairs (i, i + half) of each head of x [N, heads, size] are rotated by cos and sin [N, half] of x's type, or of fp32 if
// only the result shall be rounded; what is behind them stays.
at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_FUSED_ROWS_H_
