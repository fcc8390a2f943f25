#include "core/engine/token_mask.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace keel {
namespace {

void Allow(std::vector<uint32_t>& mask, int32_t token) {
  mask[static_cast<size_t>(token) / 32] |= 1u << (token % 32);
}

void Forbid(std::vector<uint32_t>& mask, int32_t token) {
  mask[static_cast<size_t>(token) / 32] &= ~(1u << (token % 32));
}

}  // namespace

bool IsMasked(const RunningSequence& sequence) {
  if (sequence.grammar != nullptr) return true;
  return sequence.reasoning.has_value() && sequence.reasoning->forced_token().has_value();
}

absl::Status FillMask(RunningSequence& sequence, int64_t vocab_size) {
  std::vector<uint32_t>& mask = sequence.mask;
  const auto words = static_cast<size_t>((vocab_size + 31) / 32);
  if (sequence.reasoning.has_value() && sequence.reasoning->is_within()) {
    if (const auto forced = sequence.reasoning->forced_token()) {
      mask.assign(words, 0);
      Allow(mask, *forced);
      return absl::OkStatus();
    }
    // The answer is yet to come.
    mask.assign(words, ~0u);
    for (const int32_t token : sequence.request->end_token_ids)
      if (token >= 0 && token < vocab_size) Forbid(mask, token);
    return absl::OkStatus();
  }
  mask.resize(words);
  absl::Status status = sequence.grammar->FillMask(absl::MakeSpan(mask));
  if (status.ok() && sequence.reasoning.has_value()) {
    if (const auto begin = sequence.reasoning->begin_token()) Allow(mask, *begin);
  }
  return status;
}

}  // namespace keel
