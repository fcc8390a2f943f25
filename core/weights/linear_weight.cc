#include "core/weights/linear_weight.h"

#include <algorithm>
#include <utility>

namespace keel {
namespace {

// `rank`'s part of dimension `dim`.
at::Tensor Part(const at::Tensor& whole, int64_t dim, int rank, int ranks) {
  const int64_t size = whole.size(dim) / ranks;
  return whole.narrow(dim, rank * size, size);
}

}  // namespace

DenseLinear::DenseLinear(at::Tensor weight, at::Tensor bias, Numerics numerics)
    : weight_(std::move(weight)), bias_(std::move(bias)), key_(KernelKey::Of(weight_, numerics)) {
  TORCH_CHECK(weight_.dim() == 2, "a linear's weights are ", weight_.sizes());
}

at::Tensor DenseLinear::Apply(const at::Tensor& x) const {
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == weight_.size(1) && x.scalar_type() == key_.type,
              "a linear of ", x.sizes(), " ", x.scalar_type(), ", expected [.., ", weight_.size(1),
              "] ", key_.type);
  const int64_t rows = x.dim() == 2 ? x.size(0) : x.numel() / std::max<int64_t>(1, x.size(-1));
  return LinearKernel(key_, rows).run(x, weight_, bias_);
}

std::shared_ptr<const LinearWeight> DenseLinear::Shard(WeightSplit split, int rank,
                                                       int ranks) const {
  switch (split) {
    case WeightSplit::kRows:
      return std::make_shared<DenseLinear>(Part(weight_, 0, rank, ranks),
                                           bias_.defined() ? Part(bias_, 0, rank, ranks) : bias_,
                                           key_.numerics);
    case WeightSplit::kColumns:
      return std::make_shared<DenseLinear>(Part(weight_, 1, rank, ranks),
                                           rank == 0 ? bias_ : at::Tensor(), key_.numerics);
    default:
      return std::make_shared<DenseLinear>(*this);
  }
}

int64_t DenseLinear::bytes() const {
  return static_cast<int64_t>(weight_.nbytes() + (bias_.defined() ? bias_.nbytes() : 0));
}

}  // namespace keel
