#include "core/attention/sdpa.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <optional>

#include "core/attention/dense.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// The additive mask of a call with ALiBi, [1, heads, Q, K] of the queries' type.
at::Tensor AlibiMask(const AttentionCall& call, const DenseSequence& s, const at::Tensor& visible,
                     const at::Tensor& slopes) {
  const int64_t heads = call.desc->heads, keys = s.k.size(1);
  // Relative to the last key, which softmax does not notice: small numbers stay exact in 16 bits.
  const at::Tensor positions = at::arange(1 - keys, 1, at::kFloat).view({1, 1, keys});
  at::Tensor mask =
      (slopes.to(at::kFloat).view({heads, 1, 1}) * positions).expand({heads, s.q.size(1), keys});
  if (visible.defined()) {
    mask = mask.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return mask.to(s.q.scalar_type()).unsqueeze(0);
}

void RunSequence(const AttentionCall& call, const DenseSequence& s) {
  const keel_attention_desc& d = *call.desc;
  const int64_t queries = s.q.size(1), keys = s.k.size(1);
  const bool plain_causal = d.kind == KEEL_ATTENTION_CAUSAL && queries == keys &&
                            s.first_key == 0 && (d.window == 0 || d.window >= keys) &&
                            (d.chunk == 0 || d.chunk >= keys);
  const NamedArg* slopes = call.Find("alibi_slopes");
  std::optional<at::Tensor> mask;
  if (!plain_causal || slopes != nullptr) {
    const at::Tensor visible = VisibleKeys(d, s);
    if (slopes != nullptr) {
      mask = AlibiMask(call, s, visible, slopes->tensor);
    } else if (visible.defined()) {
      mask = visible.view({1, 1, queries, keys});
    }
  }
  const at::Tensor out = at::scaled_dot_product_attention(
      s.q.unsqueeze(0), s.k.unsqueeze(0), s.v.unsqueeze(0), mask, 0.0,
      plain_causal && slopes == nullptr, d.scale, d.heads != d.kv_heads);
  s.out.copy_(out.squeeze(0).transpose(0, 1));
}

}  // namespace

absl::Status SdpaAttention::Supports(const AttentionUse& use) const {
  if (use.desc->softcap > 0) return absl::UnimplementedError("sdpa: no softcap");
  return CheckKind("sdpa", use, {"alibi_slopes", "segments"});
}

absl::Status SdpaAttention::Run(const AttentionCall& call) const {
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    for (int64_t i = 0; i < NumSequences(call); ++i) {
      const DenseSequence s = GatherSequence(call, i);
      if (s.q.size(1) > 0) RunSequence(call, s);
    }
    return absl::OkStatus();
  });
}

}  // namespace keel
