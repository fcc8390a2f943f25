#include "core/ops/latent.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>

#include <algorithm>
#include <utility>

#include "core/attention/dense.h"
#include "core/attention/sdpa.h"
#include "core/ops/invariant.h"

namespace keel {

proto::Attention AttentionOverLatents(const proto::Attention& latent) {
  proto::Attention plain = latent;
  plain.set_kind(proto::Attention::CAUSAL);
  plain.set_qk_dim(latent.kv_lora_rank() + latent.rope_dim());
  plain.set_v_dim(latent.kv_lora_rank());
  return plain;
}

LatentUp::LatentUp(const proto::Attention& attention, std::shared_ptr<const LinearWeight> up,
                   at::ScalarType type, Numerics numerics)
    : up_(std::move(up)), numerics_(numerics), rope_dim_(attention.rope_dim()) {
  const int64_t rank = attention.kv_lora_rank(), nope = attention.qk_dim() - attention.rope_dim();
  // The matrix, however it is stored: what it makes of the unit vectors, [rank, heads, nope + v_dim].
  const at::Tensor matrix = up_->Apply(at::eye(rank, at::TensorOptions(type)))
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

bool LatentUp::ShouldExpand(int64_t queries, int64_t keys) const {
  constexpr int64_t kFewQueries = 8;
  const int64_t nope = keys_.size(1), rank = keys_.size(2), v_dim = values_.size(2);
  // Multiplications a query, key and head, and for a head of a key or of a query.
  const int64_t absorbed = rank + rope_dim_ + rank,
                expanded = 2 * std::max(nope + rope_dim_, v_dim);
  const int64_t by_head = rank * (nope + v_dim);
  return queries >= kFewQueries &&
         queries * keys * absorbed + queries * by_head > queries * keys * expanded + keys * by_head;
}

void LatentUp::RunExpanded(const AttentionCall& call, int64_t sequence) const {
  const DenseSequence latents = GatherSequence(call, sequence);
  const int64_t heads = keys_.size(0), nope = keys_.size(1), rank = keys_.size(2),
                v_dim = values_.size(2), keys = latents.k.size(1);
  const at::Tensor row = latents.k.select(0, 0);  // [keys, rank + rope_dim]
  const at::Tensor up = up_->Apply(row.narrow(1, 0, rank)).view({keys, heads, nope + v_dim});
  const at::Tensor rotated =
      row.narrow(1, rank, rope_dim_).unsqueeze(1).expand({keys, heads, rope_dim_});
  // ATen's fast kernel takes keys and values of one size.
  const int64_t size = std::max(nope + rope_dim_, v_dim);
  keel_attention_desc desc = *call.desc;
  desc.kv_heads = heads, desc.qk_dim = nope + rope_dim_, desc.v_dim = size;
  AttentionCall plain = call;
  plain.desc = &desc;
  DenseSequence expanded = latents;
  expanded.k = at::cat({up.narrow(2, 0, nope), rotated}, 2).transpose(0, 1);
  expanded.v = at::constant_pad_nd(up.narrow(2, nope, v_dim), {0, size - v_dim}).transpose(0, 1);
  expanded.out = at::empty({latents.out.size(0), heads, size}, latents.out.options());
  RunSdpa(plain, expanded);
  latents.out.copy_(expanded.out.narrow(2, 0, v_dim));
}

}  // namespace keel
