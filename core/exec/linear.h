// x W^T + b by whichever kernel is fastest for the shape.
#ifndef KEEL_CORE_EXEC_LINEAR_H_
#define KEEL_CORE_EXEC_LINEAR_H_

#include <ATen/core/Tensor.h>

namespace keel {

// Over the last dimension of x; weight [out, in], `bias` [out] may be undefined. Few rows of bf16 go
// through core/kernels/gemv_bf16.h or invariant_linear.h, the rest through at::linear where that is
// fast. Throws c10::Error.
at::Tensor LinearOf(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// The same through fp32 GEMMs over panels of widened weights, rounded once at the end: LinearOf's way
// for 16-bit types on CPUs without AVX-512.
at::Tensor LinearInFp32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// The same by core/kernels/invariant_linear.h: an output's bits depend on its row of x and its row of
// the weights alone. One type for all.
at::Tensor LinearInvariant(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace keel

#endif  // KEEL_CORE_EXEC_LINEAR_H_
