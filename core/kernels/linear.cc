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
#include "core/kernels/gemv_bf16.h"
#include "core/kernels/invariant_linear.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/parallel.h"

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

at::Tensor LinearGemvBf16(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  TORCH_CHECK(CheckOperands(x, weight, bias) == KernelType::kBF16, "gemv takes bf16, not ",
              x.scalar_type());
  const at::Tensor rows = Rows(x);
  at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  GemvBf16 gemv;
  gemv.m = rows.size(0);
  gemv.n = weight.size(0);
  gemv.k = rows.size(1);
  gemv.x = static_cast<const uint16_t*>(rows.const_data_ptr());
  gemv.w = static_cast<const uint16_t*>(weight.const_data_ptr());
  gemv.bias = bias.defined() ? static_cast<const uint16_t*>(bias.const_data_ptr()) : nullptr;
  gemv.y = static_cast<uint16_t*>(y.mutable_data_ptr());
  gemv.ldx = rows.stride(0);
  gemv.ldw = weight.stride(0);
  gemv.ldy = y.stride(0);
  RunGemvBf16(gemv);
  return Shaped(y, x);
}

at::Tensor LinearInFp32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  constexpr int64_t kPanelElements = 1 << 20;  // 4 MiB of fp32: stays in the cache until it is used
  const int64_t n = weight.size(0), k = weight.size(1);
  const int64_t panel =
      std::clamp<int64_t>(kPanelElements / (std::max<int64_t>(k, 1) * ParallelThreads()), 1, n);
  const at::Tensor wide_x = x.reshape({-1, k}).to(at::kFloat);
  at::Tensor y = at::empty({wide_x.size(0), n}, x.options());
  ForColumns(n, wide_x.numel(), [&](int64_t from, int64_t to) {
    const at::Tensor wide_weight = at::empty({panel, k}, wide_x.options());
    const at::Tensor wide_y = at::empty({wide_x.size(0), panel}, wide_x.options());
    for (int64_t begin = from; begin < to; begin += panel) {
      const int64_t columns = std::min(panel, to - begin);
      at::Tensor wide = wide_weight.narrow(0, 0, columns), out = wide_y.narrow(1, 0, columns);
      wide.copy_(weight.narrow(0, begin, columns));
      at::mm_out(out, wide_x, wide.t());
      if (bias.defined()) out.add_(bias.narrow(0, begin, columns));
      y.narrow(1, begin, columns).copy_(out);
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
