// x W^T + b by whichever kernel is fastest for the shape.
#ifndef KEEL_CORE_EXEC_LINEAR_H_
#define KEEL_CORE_EXEC_LINEAR_H_

#include <ATen/core/Tensor.h>

namespace keel {

// Over the last dimension of x; weight [out, in], `bias` [out] may be undefined. Few rows of bf16 go
// through core/kernels/gemv_bf16.h, the rest through at::linear. Throws c10::Error.
at::Tensor LinearOf(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace keel

#endif  // KEEL_CORE_EXEC_LINEAR_H_
