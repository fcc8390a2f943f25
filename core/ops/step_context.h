// What a step gives its ops.
#ifndef KEEL_CORE_OPS_STEP_CONTEXT_H_
#define KEEL_CORE_OPS_STEP_CONTEXT_H_

#include <cstdint>
#include <vector>

#include "core/attention/attention.h"

namespace keel {

// Encoders run without.
struct StepContext {
  std::vector<AttentionMetadata> metadata;  // of each group of layers (KvCache::groups)
  // [N]: how long the text is that a token is of when it is computed, as transformers would: the
  // prompt, and what was generated up to it. The token's own, whatever chunk or step it comes in.
  std::vector<int64_t> lengths;
  std::vector<int32_t> state_slots;  // [S]
  std::vector<int32_t> cu_q;         // [S + 1]: where each sequence's tokens begin, and the end
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_STEP_CONTEXT_H_
