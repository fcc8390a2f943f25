// `paged`: Keel's own kernel over block tables for decode; prefill gathers a sequence's keys and
// goes through sdpa where that can express the layer.
#ifndef KEEL_CORE_ATTENTION_PAGED_H_
#define KEEL_CORE_ATTENTION_PAGED_H_

#include "core/attention/attention.h"
#include "core/attention/sdpa.h"

namespace keel {

class PagedCacheAttention : public AttentionImplementation {
 public:
  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;

 private:
  SdpaAttention sdpa_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PAGED_H_
