#include "core/ops/norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>

#include "core/kernels/kernel_table.h"
#include "core/kernels/linear.h"

namespace keel {
namespace {

// Over the last dimension, which stays as 1. The kernel adds a row up in one order; ATen's order may
// follow the tensor's shape.
at::Tensor MeanOfRows(const at::Tensor& x, Numerics numerics) {
  if (numerics == Numerics::kFastest) return x.mean(-1, /*keepdim=*/true);
  const int64_t size = x.size(-1);
  return LinearInvariant(x, at::ones({1, size}, x.options()), {}) / static_cast<double>(size);
}

// By ATen's operators.
at::Tensor NormBySteps(const proto::Norm& norm, const NormWeight& w, const at::Tensor& x,
                       Numerics numerics) {
  at::Tensor y = x.to(at::kFloat);
  if (norm.kind() == proto::Norm::LAYER && numerics == Numerics::kFastest) {
    y = at::layer_norm(y, {norm.size()}, {}, {}, norm.eps());
  } else {
    if (norm.kind() == proto::Norm::LAYER) y = y - MeanOfRows(y, numerics);
    y = y * at::rsqrt(MeanOfRows(y.square(), numerics) + norm.eps());
  }
  if (norm.cast_last()) {
    if (w.weight.defined()) y = y * w.weight.to(at::kFloat);
    if (w.bias.defined()) y = y + w.bias.to(at::kFloat);
    return y.to(x.scalar_type());
  }
  y = y.to(x.scalar_type());
  if (w.weight.defined()) y = y * w.weight;
  return w.bias.defined() ? y + w.bias : y;
}

}  // namespace

bool HasWeightsOf(const NormWeight& weights, at::ScalarType type) {
  return (!weights.weight.defined() || weights.weight.scalar_type() == type) &&
         (!weights.bias.defined() || weights.bias.scalar_type() == type);
}

at::Tensor RunNorm(const proto::Norm& norm, const NormWeight& weights, const at::Tensor& x,
                   Numerics numerics) {
  TORCH_CHECK(x.size(-1) == norm.size(), "a norm of size ", norm.size(), " got ", x.sizes());
  if (HasWeightsOf(weights, x.scalar_type())) {
    const auto* kernel = NormKernel(KernelKey::Of(x, numerics));
    if (kernel != nullptr) {
      return kernel->run(x, {norm.size(), weights.weight, weights.bias, norm.eps(),
                             norm.kind() == proto::Norm::LAYER, norm.cast_last()});
    }
  }
  return NormBySteps(norm, weights, x, numerics);
}

}  // namespace keel
