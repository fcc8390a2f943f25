// Batch-invariant forms of ATen's operators, for ExecutorOptions::deterministic.
//
// ATen computes an element by vector or by scalar code depending on where it lies in a tensor and on
// how threads divide it, and the two round differently (exp, tanh, erf). Here every element and every
// row takes one and the same way, whatever is beside it and however many threads there are.
#ifndef KEEL_CORE_OPS_INVARIANT_H_
#define KEEL_CORE_OPS_INVARIANT_H_

#include <ATen/core/Tensor.h>

#include "absl/functional/function_ref.h"
#include "core/kernels/numerics.h"

namespace keel {

using TensorFunction = absl::FunctionRef<at::Tensor(const at::Tensor&)>;

// f(x) for an f that works element by element and keeps shape and type. It gets copies of pieces of
// one size, aligned, the last one filled up with zeros. All here throw what f throws.
at::Tensor InPieces(const at::Tensor& x, TensorFunction f);

// f(x) for an f that works on each x[i] by itself, and keeps dimension 0. It gets one at a time, as
// [1, ...].
at::Tensor RowByRow(const at::Tensor& x, TensorFunction f);

// a @ b by the kernel of invariant linears; b has as many dimensions as a, or two. Throws c10::Error.
at::Tensor MatmulInvariant(const at::Tensor& a, const at::Tensor& b);

// f(x) in the way that `numerics` asks for.
inline at::Tensor ByElement(Numerics numerics, const at::Tensor& x, TensorFunction f) {
  return numerics == Numerics::kInvariant ? InPieces(x, f) : f(x);
}
inline at::Tensor ByRow(Numerics numerics, const at::Tensor& x, TensorFunction f) {
  return numerics == Numerics::kInvariant ? RowByRow(x, f) : f(x);
}

}  // namespace keel

#endif  // KEEL_CORE_OPS_INVARIANT_H_
