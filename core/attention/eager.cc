#include "core/attention/eager.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <limits>

#include "core/attention/dense.h"
#include "core/attention/distance_bias.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

at::Tensor RepeatKv(const at::Tensor& x, int64_t times) {
  return times == 1 ? x : x.repeat_interleave(times, 0);
}

at::Tensor Scores(const AttentionCall& call, const DenseSequence& s) {
  const keel_attention_desc& d = *call.desc;
  at::Tensor scores =
      at::matmul(s.q, RepeatKv(s.k, d.heads / d.kv_heads).transpose(1, 2)) * d.scale;
  if (d.softcap > 0) scores = at::tanh(scores / d.softcap) * d.softcap;
  if (const NamedArg* slopes = call.Find("alibi_slopes")) {
    const at::Tensor positions = at::arange(s.first_key, s.first_key + s.k.size(1), at::kFloat);
    scores = scores.to(at::kFloat) +
             slopes->tensor.to(at::kFloat).view({d.heads, 1, 1}) * positions.view({1, 1, -1});
  }
  if (const at::Tensor bias = DistanceBias(call, s); bias.defined())
    scores = scores.to(at::kFloat) + bias;
  const at::Tensor visible = VisibleKeys(d, s);
  if (visible.defined()) {
    scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return scores;
}

at::Tensor Probabilities(const AttentionCall& call, const at::Tensor& scores) {
  const NamedArg* sinks = call.Find("sinks");
  if (sinks == nullptr) return at::softmax(scores, -1, at::kFloat);
  const at::Tensor column = sinks->tensor.to(scores.scalar_type())
                                .view({scores.size(0), 1, 1})
                                .expand({scores.size(0), scores.size(1), 1});
  return at::softmax(at::cat({scores, column}, -1), -1, at::kFloat).narrow(-1, 0, scores.size(2));
}

}  // namespace

absl::Status EagerAttention::Supports(const AttentionUse& use) const {
  return CheckKind("eager", use,
                   {"alibi_slopes", "groups", "sinks", "segments", kDistanceBias,
                    kQueryDistanceBias, kKeyDistanceBias});
}

absl::Status EagerAttention::Run(const AttentionCall& call) const {
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    const keel_attention_desc& d = *call.desc;
    for (int64_t i = 0; i < NumSequences(call); ++i) {
      const DenseSequence s = GatherSequence(call, i);
      if (s.q.size(1) == 0) continue;
      const at::Tensor p = Probabilities(call, Scores(call, s)).to(s.q.scalar_type());
      s.out.copy_(at::matmul(p, RepeatKv(s.v, d.heads / d.kv_heads)).transpose(0, 1));
    }
    return absl::OkStatus();
  });
}

}  // namespace keel
