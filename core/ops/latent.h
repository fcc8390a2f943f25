// Latent attention (KEEL_ATTENTION_MLA, arXiv:2405.04434) as plain attention over its latents.
//
// A head's key is W_k c and its value W_v c, of a latent c that all heads share. So q . (W_k c) = (W_k^T q) . c, and the
// sum of p W_v c is W_v applied to the sum of p c: queries and outputs take the matrices, and what is attended to is one
// KV head whose key is the latent beside the rotated key, and whose value is the latent. Every implementation of
// attention can do that, and the cache holds kv_lora_rank + rope_dim numbers a token. A long prompt is cheaper with keys
// and values expanded.
#ifndef KEEL_CORE_OPS_LATENT_H_
#define KEEL_CORE_OPS_LATENT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "core/attention/attention.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/ops/head_linears.h"
#include "core/weights/linear_weight.h"

namespace keel {

// The plain attention that implementations see.
proto::Attention AttentionOverLatents(const proto::Attention& latent);

// All throw c10::Error.
class LatentUp {
 public:
  LatentUp() = default;
  // `up` [rank -> heads * (nope + v_dim)], each head's nope before its v.
  LatentUp(const proto::Attention& attention, std::shared_ptr<const LinearWeight> up,
           at::ScalarType type, Numerics numerics);

  int64_t v_dim() const { return values_.out(); }

  // q [N, heads, nope + rope_dim] -> [N, heads, rank + rope_dim].
  at::Tensor Queries(const at::Tensor& q) const;
  // Latents [N, 1, rank], rotated keys [N, 1, rope_dim] -> [N, 1, rank + rope_dim].
  static at::Tensor Keys(const at::Tensor& latents, const at::Tensor& rotated);
  // Sums of latents [N, heads, rank] -> [N, heads, v_dim].
  at::Tensor Outputs(const at::Tensor& sums) const;

  // Whether so many queries of a sequence, with so many keys, are cheaper with the keys expanded.
  bool ShouldExpand(int64_t queries, int64_t keys) const;
  // One sequence so: call.q is [N, heads, nope + rope_dim], call.out [N, heads, v_dim]. Knows no
  // windows, chunks and sinks.
  void RunExpanded(const AttentionCall& call, int64_t sequence) const;

 private:
  std::shared_ptr<const LinearWeight> up_;
  int64_t rope_dim_ = 0;
  HeadLinears keys_;    // nope -> rank
  HeadLinears values_;  // rank -> v_dim
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_LATENT_H_
