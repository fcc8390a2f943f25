// `sdpa`: ATen's scaled_dot_product_attention, a sequence at a time.
#ifndef KEEL_CORE_ATTENTION_SDPA_H_
#define KEEL_CORE_ATTENTION_SDPA_H_

#include "core/attention/attention.h"
#include "core/attention/dense.h"

namespace keel {

// One sequence of a call. Throws c10::Error.
void RunSdpa(const AttentionCall& call, const DenseSequence& sequence);

// Lacks softcap and sinks.
class SdpaAttention : public HostAttention {
 public:
  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_SDPA_H_
