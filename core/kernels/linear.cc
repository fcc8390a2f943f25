#include "core/kernels/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/kernels/aten_threads.h"
#include "core/kernels/invariant_linear.h"
#include "core/kernels/kernel_type.h"

namespace keel {
namespace {

constexpr int64_t kProductsAPiece = 1 << 21;  // some tens of microseconds

bool IsDenseInRows(const at::Tensor& matrix) {
  return matrix.stride(1) == 1 || matrix.size(1) == 1;
}

// What own kernels ask of their operands. Returns the type.
KernelType CheckOperands(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<KernelType> type = KernelTypeOf(x.scalar_type());
  TORCH_CHECK(type.has_value() && x.dim() >= 1 && weight.dim() == 2 && IsDenseInRows(weight) &&
                  weight.scalar_type() == x.scalar_type() && x.size(-1) == weight.size(1),
              "a linear of ", x.sizes(), " ", x.scalar_type(), " and ", weight.sizes(), " ",
              weight.scalar_type());
  TORCH_CHECK(!bias.defined() || (bias.scalar_type() == x.scalar_type() && bias.is_contiguous() &&
                                  bias.numel() == weight.size(0)),
              "a linear's bias must be of its type and have an entry an output");
  return *type;
}

// [.., k] as [m, k] whose rows have their elements side by side.
at::Tensor Rows(const at::Tensor& x) {
  const at::Tensor rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  return IsDenseInRows(rows) ? rows : rows.contiguous();
}

// [m, n] in the shape of x, whose last dimension it replaces.
at::Tensor Shaped(const at::Tensor& y, const at::Tensor& x) {
  if (x.dim() == 2) return y;
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = y.size(1);
  return y.view(shape);
}

// f(begin, end) over the n columns of a result whose rows of x have so many elements, on all threads:
// ATen's GEMMs take no longer cut by columns than on threads of their own.
void ForColumns(int64_t n, int64_t elements_of_x, absl::FunctionRef<void(int64_t, int64_t)> f) {
  constexpr int64_t kColumns = 64;  // a multiple of every GEMM's panels
  const int64_t products = std::max<int64_t>(1, elements_of_x * kColumns);
  ParallelForAten(
      (n + kColumns - 1) / kColumns, std::max<int64_t>(1, kProductsAPiece / products),
      [&](int64_t begin, int64_t end) { f(begin * kColumns, std::min(end * kColumns, n)); });
}

}  // namespace

at::Tensor LinearAten(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor rows = Rows(x);
  const int64_t n = weight.size(0);
  if (!rows.is_cpu() || rows.numel() * n < 2 * kProductsAPiece) {
    return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  }
  at::Tensor y = at::empty({rows.size(0), n}, x.options());
  ForColumns(n, rows.numel(), [&](int64_t begin, int64_t end) {
    at::Tensor out = y.narrow(1, begin, end - begin);
    const at::Tensor w = weight.narrow(0, begin, end - begin).t();
    if (bias.defined()) {
      at::addmm_out(out, bias.narrow(0, begin, end - begin), rows, w);
    } else {
      at::mm_out(out, rows, w);
    }
  });
  return Shaped(y, x);
}

at::Tensor LinearInvariant(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  InvariantLinear linear;
  linear.type = CheckOperands(x, weight, bias);
  const at::Tensor rows = Rows(x);
  at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  linear.m = rows.size(0);
  linear.n = weight.size(0);
  linear.k = weight.size(1);
  linear.x = rows.const_data_ptr();
  linear.w = weight.const_data_ptr();
  linear.bias = bias.defined() ? bias.const_data_ptr() : nullptr;
  linear.y = y.mutable_data_ptr();
  linear.ldx = rows.stride(0);
  linear.ldw = weight.stride(0);
  linear.ldy = linear.n;
  RunInvariantLinear(linear);
  return Shaped(y, x);
}

}  // namespace keel
