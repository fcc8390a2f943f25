// `paged`: Keel's own kernel, over block tables, and over an encoder's rows.
#ifndef KEEL_CORE_ATTENTION_PAGED_H_
#define KEEL_CORE_ATTENTION_PAGED_H_

#include "core/attention/attention.h"

namespace keel {

class PagedCacheAttention : public HostAttention {
 public:
  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;
  // The kernel's promise (core/kernels/paged_attention.h).
  bool is_invariant() const override { return true; }
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PAGED_H_
