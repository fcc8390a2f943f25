#include "core/ops/latent.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>

#include <utility>

#include "core/attention/dense.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/paged_attention.h"

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
    : up_(std::move(up)), rope_dim_(attention.rope_dim()) {
  const int64_t rank = attention.kv_lora_rank(), nope = attention.qk_dim() - attention.rope_dim();
  // The matrix, however it is stored: what it makes of the unit vectors, [rank, heads, nope + v_dim].
  const at::Tensor matrix = up_->Apply(at::eye(rank, at::TensorOptions(type)))
                                .view({rank, attention.heads(), nope + attention.v_dim()});
  keys_ = HeadLinears(matrix.narrow(2, 0, nope).permute({1, 0, 2}), numerics);
  values_ = HeadLinears(matrix.narrow(2, nope, attention.v_dim()).permute({1, 2, 0}), numerics);
}

at::Tensor LatentUp::Queries(const at::Tensor& any_q) const {
  const at::Tensor q = any_q.stride(2) == 1 ? any_q : any_q.contiguous();
  const int64_t nope = keys_.in(), rank = keys_.out();
  at::Tensor out = at::empty({q.size(0), q.size(1), rank + rope_dim_}, q.options());
  keys_.Apply(q.narrow(2, 0, nope), out.narrow(2, 0, rank));
  out.narrow(2, rank, rope_dim_).copy_(q.narrow(2, nope, rope_dim_));
  return out;
}

at::Tensor LatentUp::Keys(const at::Tensor& latents, const at::Tensor& rotated) {
  return at::cat({latents, rotated}, 2);
}

at::Tensor LatentUp::Outputs(const at::Tensor& any_sums) const {
  const at::Tensor sums = any_sums.stride(2) == 1 ? any_sums : any_sums.contiguous();
  at::Tensor out = at::empty({sums.size(0), sums.size(1), values_.out()}, sums.options());
  values_.Apply(sums, out);
  return out;
}

bool LatentUp::ShouldExpand(int64_t queries, int64_t keys) const {
  constexpr int64_t kFewQueries = 8;
  const int64_t nope = keys_.in(), rank = keys_.out(), v_dim = values_.out();
  // Multiplications a query, key and head, and for a head of a key or of a query.
  const int64_t absorbed = rank + rope_dim_ + rank, expanded = nope + rope_dim_ + v_dim;
  const int64_t by_head = rank * (nope + v_dim);
  return queries >= kFewQueries &&
         queries * keys * absorbed + queries * by_head > queries * keys * expanded + keys * by_head;
}

void LatentUp::RunExpanded(const AttentionCall& call, int64_t sequence) const {
  const DenseSequence latents = GatherSequence(call, sequence);
  const int64_t heads = keys_.heads(), nope = keys_.in(), rank = keys_.out(), v_dim = values_.out(),
                keys = latents.k.size(1);
  const at::Tensor row = latents.k.select(0, 0);  // [keys, rank + rope_dim]
  const at::Tensor up = up_->Apply(row.narrow(1, 0, rank)).view({keys, heads, nope + v_dim});
  const at::Tensor rotated =
      row.narrow(1, rank, rope_dim_).unsqueeze(1).expand({keys, heads, rope_dim_});
  const at::Tensor k = at::cat({up.narrow(2, 0, nope), rotated}, 2), v = up.narrow(2, nope, v_dim);
  const at::Tensor any_q = latents.q.transpose(0, 1);
  const at::Tensor q = any_q.stride(2) == 1 ? any_q : any_q.contiguous();
  TORCH_CHECK(latents.out.is_contiguous(), "attention needs a contiguous output");
  const int32_t cu_q[] = {0, static_cast<int32_t>(q.size(0))};
  const auto seq_len = static_cast<int32_t>(keys);
  PagedAttention kernel;
  kernel.type = *KernelTypeOf(q.scalar_type());
  kernel.kv_type = KvTypeOf(kernel.type);
  kernel.q = q.const_data_ptr();
  kernel.q_token_stride = q.stride(0), kernel.q_head_stride = q.stride(1);
  kernel.k_cache = k.const_data_ptr();
  kernel.k_token_stride = k.stride(0), kernel.k_head_stride = k.stride(1);
  kernel.v_cache = v.const_data_ptr();
  kernel.v_token_stride = v.stride(0), kernel.v_head_stride = v.stride(1);
  kernel.out = latents.out.data_ptr();
  kernel.heads = kernel.kv_heads = heads;
  kernel.qk_dim = nope + rope_dim_, kernel.v_dim = v_dim;
  kernel.seq_lens = &seq_len;
  kernel.cu_q = cu_q;
  kernel.num_sequences = 1;
  kernel.scale = static_cast<float>(call.desc->scale);
  kernel.softcap = static_cast<float>(call.desc->softcap);
  RunPagedAttention(kernel);
}

}  // namespace keel
