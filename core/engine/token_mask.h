// What a sequence's next token may be, besides what its sampler says: what its grammar allows where
// the answer has begun, and what bounds its reasoning.
#ifndef KEEL_CORE_ENGINE_TOKEN_MASK_H_
#define KEEL_CORE_ENGINE_TOKEN_MASK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/engine/running_request.h"

namespace keel {

bool IsMasked(const RunningSequence& sequence);

// Fills the mask of a sequence that is masked. An error is its grammar's.
absl::Status FillMask(RunningSequence& sequence, int64_t vocab_size);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_TOKEN_MASK_H_
