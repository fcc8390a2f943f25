// `paged`: Keel's own kernel over block tables for decode; prefill gathers a sequence's keys and
// goes through sdpa where that can express the layer.
#ifndef KEEL_CORE_ATTENTION_PAGED_H_
#define KEEL_CORE_ATTENTION_PAGED_H_

#include "core/attention/attention.h"
#include "core/attention/sdpa.h"

namespace keel {

// From so many queries of a sequence on, ATen's blocked kernel beats ours, which takes one at a time.
inline constexpr int64_t kDenseQueries = 8;

class PagedCacheAttention : public HostAttention {
 public:
  // `invariant`: the kernel for every query, so that a query's result has the same bits whatever
  // other queries its step has. It begins at the first key that a query sees and goes on by the
  // cache's blocks, which lie at fixed positions of a sequence.
  explicit PagedCacheAttention(bool invariant = false) : invariant_(invariant) {}

  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;

 private:
  const bool invariant_;
  SdpaAttention sdpa_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PAGED_H_
