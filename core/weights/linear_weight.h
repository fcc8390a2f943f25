// A linear layer's weights, however they are stored. A way to store them (packed panels, a LoRA adapter
// around another, another device) is a class here; who runs a layer knows none of them.
#ifndef KEEL_CORE_WEIGHTS_LINEAR_WEIGHT_H_
#define KEEL_CORE_WEIGHTS_LINEAR_WEIGHT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "core/graph/sharding.h"
#include "core/kernels/kernel_table.h"
#include "core/kernels/numerics.h"
#include "core/kernels/packed_linear.h"

namespace keel {

// As a checkpoint has it.
struct PlainLinear {
  at::Tensor weight;  // [out, in], rows with elements side by side
  at::Tensor bias;    // [out], or undefined
};

// Immutable, so that any threads may use one.
class LinearWeight {
 public:
  virtual ~LinearWeight() = default;

  // x W^T + b over the last dimension: [.., in] -> [.., out]. Throws c10::Error.
  virtual at::Tensor Apply(const at::Tensor& x) const = 0;

  // Part `part` of split.parts: kRows a slice of `out`, of the bias too; kColumns a slice of `in`, the
  // bias in part 0 alone. Throws c10::Error.
  virtual std::shared_ptr<const LinearWeight> Shard(const WeightSplit& split, int part) const = 0;

  // That one row of x makes the host read.
  virtual int64_t bytes() const = 0;

  // What it is made of, for who can do more than Apply with that form; null: it is of another. Borrowed
  // from this object.
  virtual const PlainLinear* plain() const { return nullptr; }
  // Ready to run but for m, x, y, the residual and their strides.
  virtual const PackedLinear* packed() const { return nullptr; }
};

// Part `part` of `whole` along `dim`, a view unless the split has packs. Throws c10::Error.
at::Tensor PartOf(const at::Tensor& whole, int64_t dim, const WeightSplit& split, int part);

// Tensors as they lie in the checkpoint, or cast ones.
class DenseLinear : public LinearWeight {
 public:
  // Apply needs both of one type.
  DenseLinear(at::Tensor weight, at::Tensor bias, Numerics numerics);

  at::Tensor Apply(const at::Tensor& x) const override;
  std::shared_ptr<const LinearWeight> Shard(const WeightSplit& split, int part) const override;
  int64_t bytes() const override;
  const PlainLinear* plain() const override { return &plain_; }

 private:
  const PlainLinear plain_;
  const KernelKey key_;
};

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_LINEAR_WEIGHT_H_
