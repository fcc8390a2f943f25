#include "core/weights/linear_weight.h"

#include <ATen/ops/cat.h>

#include <utility>
#include <vector>

namespace keel {
at::Tensor PartOf(const at::Tensor& whole, int64_t dim, const WeightSplit& split, int part) {
  const int64_t size = whole.size(dim) / (split.parts * split.packs);
  if (split.packs == 1) return whole.narrow(dim, part * size, size);
  std::vector<at::Tensor> pieces;
  for (int64_t p = 0; p < split.packs; ++p)
    pieces.push_back(whole.narrow(dim, (p * split.parts + part) * size, size));
  return at::cat(pieces, dim);
}

DenseLinear::DenseLinear(at::Tensor weight, at::Tensor bias, Numerics numerics)
    : plain_{std::move(weight), std::move(bias)}, key_(KernelKey::Of(plain_.weight, numerics)) {
  TORCH_CHECK(plain_.weight.dim() == 2, "a linear's weights are ", plain_.weight.sizes());
}

at::Tensor DenseLinear::Apply(const at::Tensor& x) const {
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == plain_.weight.size(1) && x.scalar_type() == key_.type,
              "a linear of ", x.sizes(), " ", x.scalar_type(), ", expected [.., ",
              plain_.weight.size(1), "] ", key_.type);
  return LinearKernel(key_).run(x, plain_.weight, plain_.bias);
}

std::shared_ptr<const LinearWeight> DenseLinear::Shard(const WeightSplit& split, int part) const {
  const bool rows = split.kind == WeightSplit::kRows;
  TORCH_CHECK(rows || split.kind == WeightSplit::kColumns, "a linear is split by rows or columns");
  at::Tensor bias;
  if (plain_.bias.defined() && rows) bias = PartOf(plain_.bias, 0, split, part);
  if (plain_.bias.defined() && !rows && part == 0) bias = plain_.bias;
  return std::make_shared<DenseLinear>(PartOf(plain_.weight, rows ? 0 : 1, split, part), bias,
                                       key_.numerics);
}

int64_t DenseLinear::bytes() const {
  return static_cast<int64_t>(plain_.weight.nbytes() +
                              (plain_.bias.defined() ? plain_.bias.nbytes() : 0));
}

}  // namespace keel
