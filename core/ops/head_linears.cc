#include "core/ops/head_linears.h"

#include <ATen/ops/empty.h>

#include <optional>

#include "core/kernels/kernel_type.h"
#include "core/kernels/packed_group.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

WeightType StoredAs(KernelType type) {
  switch (type) {
    case KernelType::kF32:
      return WeightType::kF32;
    case KernelType::kBF16:
      return WeightType::kBF16;
    case KernelType::kF16:
      return WeightType::kF16;
  }
  return WeightType::kF32;
}

}  // namespace

HeadLinears::HeadLinears(const at::Tensor& any_w, Numerics numerics) : numerics_(numerics) {
  const at::Tensor w = any_w.contiguous();
  const std::optional<KernelType> type = KernelTypeOf(w.scalar_type());
  TORCH_CHECK(w.dim() == 3 && type.has_value(), "linears of heads are ", w.sizes(), " ",
              w.scalar_type());
  const PackedFormat format{StoredAs(*type)};
  const int64_t heads = w.size(0), n = w.size(1), k = w.size(2);
  const int64_t bytes = Panels(n) * PanelBytes(format, k);
  packed_ = at::empty({heads * bytes}, at::kByte);
  char* const packed = static_cast<char*>(packed_.mutable_data_ptr());
  const char* const plain = static_cast<const char*>(w.const_data_ptr());
  ParallelFor(heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h)
      PackPanels(format, {*type, plain + h * n * k * w.element_size(), n, k, k}, 0, Panels(n),
                 packed + h * bytes);
  });
  for (int64_t h = 0; h < heads; ++h) {
    PackedLinear& linear = linears_.emplace_back();
    linear.format = format;
    linear.n = n, linear.k = k;
    linear.weights = packed + h * bytes;
    linear.type = *type;
  }
}

void HeadLinears::Apply(const at::Tensor& x, const at::Tensor& y) const {
  const auto fits = [&](const at::Tensor& t, int64_t size) {
    return t.dim() == 3 && t.size(0) == x.size(0) && t.size(1) == heads() && t.size(2) == size &&
           (size == 1 || t.stride(2) == 1) && KernelTypeOf(t.scalar_type()) == linears_[0].type;
  };
  if (linears_.empty()) return;
  TORCH_CHECK(fits(x, in()) && fits(y, out()), "linears of ", heads(), " heads, ", in(), " to ",
              out(), ", of ", x.sizes(), " to ", y.sizes());
  std::vector<PackedLinear> linears = linears_;
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(y.mutable_data_ptr());
  for (int64_t h = 0; h < heads(); ++h) {
    PackedLinear& linear = linears[h];
    linear.m = x.size(0);
    linear.x = from + h * x.stride(1) * x.element_size();
    linear.y = to + h * y.stride(1) * y.element_size();
    linear.ldx = x.stride(0);
    linear.ldy = y.stride(0);
  }
  RunPackedGroup(linears, numerics_);
}

}  // namespace keel
