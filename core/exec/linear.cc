#include "core/exec/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include "core/kernels/gemv_bf16.h"

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

}  // namespace

at::Tensor LinearOf(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (GemvTakes(x, weight, bias)) return RunGemv(x, weight, bias);
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

}  // namespace keel
