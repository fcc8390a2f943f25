#include "core/ops/latent.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>

#include "core/ops/invariant.h"

namespace keel {

proto::Attention AttentionOverLatents(const proto::Attention& latent) {
  proto::Attention plain = latent;
  plain.set_kind(proto::Attention::CAUSAL);
  plain.set_qk_dim(latent.kv_lora_rank() + latent.rope_dim());
  plain.set_v_dim(latent.kv_lora_rank());
  return plain;
}

LatentUp::LatentUp(const proto::Attention& attention, const LinearWeight& up, at::ScalarType type,
                   Numerics numerics)
    : numerics_(numerics) {
  const int64_t rank = attention.kv_lora_rank(), nope = attention.qk_dim() - attention.rope_dim();
  // The matrix, however it is stored: what it makes of the unit vectors, [rank, heads, nope + v_dim].
  const at::Tensor matrix = up.Apply(at::eye(rank, at::TensorOptions(type)))
                                .view({rank, attention.heads(), nope + attention.v_dim()});
  keys_ = matrix.narrow(2, 0, nope).permute({1, 2, 0}).contiguous();
  values_ = matrix.narrow(2, nope, attention.v_dim()).permute({1, 0, 2}).contiguous();
}

at::Tensor LatentUp::ByHead(const at::Tensor& x, const at::Tensor& w) const {
  const at::Tensor by_head = x.transpose(0, 1);
  return (numerics_ == Numerics::kInvariant ? MatmulInvariant(by_head, w) : at::bmm(by_head, w))
      .transpose(0, 1);
}

at::Tensor LatentUp::Queries(const at::Tensor& q) const {
  const int64_t nope = keys_.size(1);
  return at::cat({ByHead(q.narrow(2, 0, nope), keys_), q.narrow(2, nope, q.size(2) - nope)}, 2);
}

at::Tensor LatentUp::Keys(const at::Tensor& latents, const at::Tensor& rotated) {
  return at::cat({latents, rotated}, 2);
}

at::Tensor LatentUp::Outputs(const at::Tensor& sums) const {
  return ByHead(sums, values_).contiguous();
}

}  // namespace keel
