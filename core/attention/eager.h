// `eager`: transformers' eager attention, step by step; the reference that others are held to.
#ifndef KEEL_CORE_ATTENTION_EAGER_H_
#define KEEL_CORE_ATTENTION_EAGER_H_

#include "core/attention/attention.h"

namespace keel {

//   S = q repeat(k)^T * scale; softcap; + slope * j; mask; P = softmax(S, fp32) in q's type
//   (a sink is one more column of S, dropped after); out = P repeat(v)
class EagerAttention : public HostAttention {
 public:
  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_EAGER_H_
