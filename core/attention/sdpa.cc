#include "core/attention/sdpa.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "core/attention/dense.h"
#include "core/attention/distance_bias.h"
#include "core/kernels/aten_threads.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// What is added to the scores besides a mask, [heads, Q, K] f32, or undefined.
at::Tensor Bias(const AttentionCall& call, const DenseSequence& s) {
  const at::Tensor of_distances = DistanceBias(call, s);
  const NamedArg* slopes = call.Find("alibi_slopes");
  if (slopes == nullptr) return of_distances;
  const int64_t heads = call.desc->heads, keys = s.k.size(1);
  // Relative to the last key, which softmax does not notice: small numbers stay exact in 16 bits.
  const at::Tensor positions = at::arange(1 - keys, 1, at::kFloat).view({1, 1, keys});
  const at::Tensor alibi = (slopes->tensor.to(at::kFloat).view({heads, 1, 1}) * positions)
                               .expand({heads, s.q.size(1), keys});
  return of_distances.defined() ? alibi + of_distances : alibi;
}

// The additive mask of a call with a bias, [1, heads, Q, K] of the queries' type.
at::Tensor BiasMask(const at::Tensor& bias, const DenseSequence& s, const at::Tensor& visible) {
  at::Tensor mask = bias;
  if (visible.defined()) {
    mask = mask.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return mask.to(s.q.scalar_type()).unsqueeze(0);
}

// One KV head with values of another size than keys (latents), which ATen would repeat for every head:
// the queries of several heads are rows of one matrix.
void RunOneKvHead(const keel_attention_desc& d, const DenseSequence& s) {
  constexpr int64_t kScores = 1 << 24;  // at a time
  const int64_t queries = s.q.size(1), keys = s.k.size(1);
  const int64_t step = std::max<int64_t>(1, kScores / (queries * keys));
  const at::Tensor visible = VisibleKeys(d, s), k = s.k.select(0, 0).t(), v = s.v.select(0, 0);
  for (int64_t head = 0; head < d.heads; head += step) {
    const int64_t n = std::min(step, d.heads - head);
    const at::Tensor q = s.q.narrow(0, head, n).reshape({n * queries, d.qk_dim});
    at::Tensor scores = (at::matmul(q, k) * d.scale).view({n, queries, keys});
    if (visible.defined())
      scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
    const at::Tensor p = at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
    const at::Tensor out = at::matmul(p.view({n * queries, keys}), v);
    s.out.narrow(1, head, n).copy_(out.view({n, queries, d.v_dim}).transpose(0, 1));
  }
}

}  // namespace

void RunSdpa(const AttentionCall& call, const DenseSequence& s) {
  const keel_attention_desc& d = *call.desc;
  const int64_t queries = s.q.size(1), keys = s.k.size(1);
  const bool plain_causal = d.kind == KEEL_ATTENTION_CAUSAL && queries == keys &&
                            s.first_key == 0 && (d.window == 0 || d.window >= keys) &&
                            (d.chunk == 0 || d.chunk >= keys) && !s.groups.defined();
  const at::Tensor bias = Bias(call, s);
  if (d.kv_heads == 1 && d.qk_dim != d.v_dim && !bias.defined()) return RunOneKvHead(d, s);
  std::optional<at::Tensor> mask;
  if (!plain_causal || bias.defined()) {
    const at::Tensor visible = VisibleKeys(d, s);
    if (bias.defined()) {
      mask = BiasMask(bias, s, visible);
    } else if (visible.defined()) {
      mask = visible.view({1, 1, queries, keys});
    }
  }
  // Heads with keys and values of their own are side by side.
  constexpr int64_t kWorkAPiece = 1 << 20;
  const int64_t group = d.heads / d.kv_heads;
  const int64_t work = std::max<int64_t>(1, queries * keys * (d.qk_dim + d.v_dim) * group);
  ParallelForAten(
      d.kv_heads, std::max<int64_t>(1, kWorkAPiece / work), [&](int64_t begin, int64_t end) {
        const int64_t first = begin * group, heads = (end - begin) * group;
        const at::Tensor out = at::scaled_dot_product_attention(
            s.q.narrow(0, first, heads).unsqueeze(0),
            s.k.narrow(0, begin, end - begin).unsqueeze(0),
            s.v.narrow(0, begin, end - begin).unsqueeze(0),
            mask.has_value() && mask->size(1) > 1 ? mask->narrow(1, first, heads) : mask, 0.0,
            plain_causal && !bias.defined(), d.scale, group > 1);
        s.out.narrow(1, first, heads).copy_(out.squeeze(0).transpose(0, 1));
      });
}

absl::Status SdpaAttention::Supports(const AttentionUse& use) const {
  if (use.desc->softcap > 0) return absl::UnimplementedError("sdpa: no softcap");
  return CheckKind(
      "sdpa", use,
      {"alibi_slopes", "groups", "segments", kDistanceBias, kQueryDistanceBias, kKeyDistanceBias});
}

absl::Status SdpaAttention::Run(const AttentionCall& call) const {
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    for (int64_t i = 0; i < NumSequences(call); ++i) {
      const DenseSequence s = GatherSequence(call, i);
      if (s.q.size(1) > 0) RunSdpa(call, s);
    }
    return absl::OkStatus();
  });
}

}  // namespace keel
