// x W^T + b in the ways that this host has; kernel_table.h says which one runs.
//
// x is [.., in], weight [out, in] with rows whose elements lie side by side, `bias` [out] or
// undefined, all of one type; the result is [.., out] of that type. All throw c10::Error.
#ifndef KEEL_CORE_KERNELS_LINEAR_H_
#define KEEL_CORE_KERNELS_LINEAR_H_

#include <ATen/core/Tensor.h>

namespace keel {

// ATen's: every device and type.
at::Tensor LinearAten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// core/kernels/invariant_linear.h: an output's bits depend on its row of x and its row of the
// weights alone.
at::Tensor LinearInvariant(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_LINEAR_H_
