#include "core/exec/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/gemv_bf16.h"
#include "core/kernels/invariant_linear.h"
#include "core/kernels/kernel_type.h"

namespace keel {
namespace {

bool GemvTakes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return x.scalar_type() == at::kBFloat16 && weight.scalar_type() == at::kBFloat16 &&
         x.dim() == 2 && x.size(0) >= 1 && x.size(0) <= kMaxGemvRows && x.stride(1) == 1 &&
         weight.dim() == 2 && weight.stride(1) == 1 && x.size(1) == weight.size(1) &&
         (!bias.defined() || (bias.scalar_type() == at::kBFloat16 && bias.is_contiguous() &&
                              bias.numel() == weight.size(0)));
}

at::Tensor RunGemv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  GemvBf16 gemv;
  gemv.m = x.size(0);
  gemv.n = weight.size(0);
  gemv.k = x.size(1);
  gemv.x = static_cast<const uint16_t*>(x.const_data_ptr());
  gemv.w = static_cast<const uint16_t*>(weight.const_data_ptr());
  gemv.bias = bias.defined() ? static_cast<const uint16_t*>(bias.const_data_ptr()) : nullptr;
  gemv.y = static_cast<uint16_t*>(y.data_ptr());
  gemv.ldx = x.stride(0);
  gemv.ldw = weight.stride(0);
  gemv.ldy = y.stride(0);
  RunGemvBf16(gemv);
  return y;
}

// Without AVX-512 libtorch has no 16-bit GEMM, only a loop over elements.
bool HasFastGemm(at::ScalarType type) {
  return Cpu().avx512 || (type != at::kBFloat16 && type != at::kHalf);
}

// More than gemv is made for, and too few to pay for widening the weights in memory.
bool IsFewRows(const at::Tensor& x) {
  constexpr int64_t kFewest = 3, kMost = 96;
  const int64_t rows = x.numel() / std::max<int64_t>(x.size(-1), 1);
  return rows >= kFewest && rows <= kMost;
}

}  // namespace

at::Tensor LinearInFp32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  constexpr int64_t kPanelElements = 1 << 20;  // 4 MiB of fp32: stays in the cache until it is used
  const int64_t n = weight.size(0), k = weight.size(1);
  const int64_t panel = std::clamp<int64_t>(kPanelElements / std::max<int64_t>(k, 1), 1, n);
  const at::Tensor wide_x = x.reshape({-1, k}).to(at::kFloat);
  at::Tensor y = at::empty({wide_x.size(0), n}, wide_x.options());
  at::Tensor wide_weight = at::empty({panel, k}, wide_x.options());
  for (int64_t begin = 0; begin < n; begin += panel) {
    const int64_t rows = std::min(panel, n - begin);
    at::Tensor wide = wide_weight.narrow(0, 0, rows);
    wide.copy_(weight.narrow(0, begin, rows));
    at::Tensor out = y.narrow(1, begin, rows);
    at::mm_out(out, wide_x, wide.t());
  }
  if (bias.defined()) y.add_(bias);
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = n;
  return y.to(x.scalar_type()).view(shape);
}

at::Tensor LinearInvariant(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<KernelType> type = KernelTypeOf(x.scalar_type());
  TORCH_CHECK(type.has_value() && weight.dim() == 2 && x.dim() >= 1 &&
                  weight.scalar_type() == x.scalar_type() && x.size(-1) == weight.size(1),
              "a batch-invariant linear of ", x.sizes(), " ", x.scalar_type(), " and ",
              weight.sizes(), " ", weight.scalar_type());
  TORCH_CHECK(!bias.defined() || (bias.scalar_type() == x.scalar_type() && bias.is_contiguous() &&
                                  bias.numel() == weight.size(0)),
              "a linear's bias must be of its type and have an entry an output");
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  const at::Tensor w = weight.stride(1) == 1 ? weight : weight.contiguous();
  at::Tensor y = at::empty({rows.size(0), w.size(0)}, x.options());
  InvariantLinear linear;
  linear.type = *type;
  linear.m = rows.size(0);
  linear.n = w.size(0);
  linear.k = w.size(1);
  linear.x = rows.const_data_ptr();
  linear.w = w.const_data_ptr();
  linear.bias = bias.defined() ? bias.const_data_ptr() : nullptr;
  linear.y = y.mutable_data_ptr();
  linear.ldx = linear.k;
  linear.ldw = w.stride(0);
  linear.ldy = linear.n;
  RunInvariantLinear(linear);
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = linear.n;
  return y.view(shape);
}

at::Tensor LinearOf(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool has_fast_gemm = HasFastGemm(x.scalar_type());
  // A batch of decodes: the weights are widened in registers, once for four rows.
  if (!has_fast_gemm && IsFewRows(x) && x.scalar_type() == weight.scalar_type() &&
      (!bias.defined() || bias.scalar_type() == x.scalar_type())) {
    return LinearInvariant(x, weight, bias);
  }
  if (GemvTakes(x, weight, bias)) return RunGemv(x, weight, bias);
  if (!has_fast_gemm) return LinearInFp32(x, weight, bias);
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

}  // namespace keel
