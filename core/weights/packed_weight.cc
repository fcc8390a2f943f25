#include "core/weights/packed_weight.h"

#include <ATen/ops/empty.h>

#include <utility>
#include <vector>

#include "core/kernels/kernel_type.h"

namespace keel {

PackedLinearWeight::PackedLinearWeight(const PackedLinear& linear,
                                       std::shared_ptr<const void> memory)
    : linear_(linear), memory_(std::move(memory)) {}

at::Tensor PackedLinearWeight::Apply(const at::Tensor& x) const {
  TORCH_CHECK(
      x.dim() >= 1 && x.size(-1) == linear_.k && KernelTypeOf(x.scalar_type()) == linear_.type,
      "a packed linear of ", x.sizes(), " ", x.scalar_type(), ", expected [.., ", linear_.k,
      "] of the model's type");
  at::Tensor rows = x.dim() == 2 ? x : x.reshape({-1, linear_.k});
  if (rows.stride(1) != 1) rows = rows.contiguous();
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = linear_.n;
  at::Tensor y = at::empty(shape, x.options());
  PackedLinear call = linear_;
  call.m = rows.size(0);
  call.x = rows.const_data_ptr();
  call.y = y.mutable_data_ptr();
  call.ldx = rows.stride(0);
  call.ldy = linear_.n;
  if (call.m > 0) RunPackedLinear(call);
  return y;
}

std::shared_ptr<const LinearWeight> PackedLinearWeight::Shard(const WeightSplit& /*split*/,
                                                              int /*part*/) const {
  TORCH_CHECK(false, "packed weights are not split: pack what each rank has");
}

int64_t PackedLinearWeight::bytes() const {
  const int64_t bias =
      linear_.bias == nullptr ? 0 : linear_.n * static_cast<int64_t>(sizeof(float));
  return Panels(linear_.n) * PanelBytes(linear_.format, linear_.k) + bias;
}

}  // namespace keel
