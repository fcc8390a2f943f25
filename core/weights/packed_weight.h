// A linear over panels that were packed when the model was loaded (core/kernels/packed_linear.h).
#ifndef KEEL_CORE_WEIGHTS_PACKED_WEIGHT_H_
#define KEEL_CORE_WEIGHTS_PACKED_WEIGHT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "core/weights/linear_weight.h"

namespace keel {

class PackedLinearWeight : public LinearWeight {
 public:
  // `linear` has its format, n, k, weights, bias and type; `memory` holds what it points to.
  PackedLinearWeight(const PackedLinear& linear, std::shared_ptr<const void> memory);

  // x of linear.type; so is the result.
  at::Tensor Apply(const at::Tensor& x) const override;
  // Throws: weights are packed after they are sharded.
  std::shared_ptr<const LinearWeight> Shard(const WeightSplit& split, int part) const override;
  int64_t bytes() const override;
  const PackedLinear* packed() const override { return &linear_; }

 private:
  const PackedLinear linear_;
  const std::shared_ptr<const void> memory_;
};

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_PACKED_WEIGHT_H_
