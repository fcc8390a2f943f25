#include "core/engine/reasoning_tracker.h"

#include <string>
#include <utility>

#include "core/base/status.h"

namespace keel {

ReasoningTracker::ReasoningTracker(ReasoningSplitter splitter, IncrementalDetokenizer detokenizer,
                                   ReasoningBounds bounds)
    : splitter_(std::move(splitter)),
      detokenizer_(std::move(detokenizer)),
      bounds_(std::move(bounds)),
      is_over_(!splitter_.is_before() && !splitter_.is_within()) {}

std::optional<int32_t> ReasoningTracker::forced_token() const {
  if (!is_within() || !bounds_.budget.has_value() || num_tokens_ < *bounds_.budget)
    return std::nullopt;
  return bounds_.end_tokens[num_forced_];
}

absl::Status ReasoningTracker::Take(int32_t token) {
  if (is_over_) return absl::OkStatus();
  if (forced_token().has_value()) {
    // Whatever becomes of its text, the marker comes once.
    if (++num_forced_ == bounds_.end_tokens.size()) is_over_ = true;
  } else if (splitter_.is_within()) {
    ++num_tokens_;
  }
  KEEL_ASSIGN_OR_RETURN(const std::string text, detokenizer_.Add(token));
  std::vector<OutputPart> parts;
  std::string answer;
  splitter_.Add(text, &parts, &answer);
  is_over_ = is_over_ || (!splitter_.is_before() && !splitter_.is_within());
  return absl::OkStatus();
}

}  // namespace keel
