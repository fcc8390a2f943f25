// How far a sequence has come in its reasoning, token by token: a grammar is for what follows it, and
// a budget ends it.
#ifndef KEEL_CORE_ENGINE_REASONING_TRACKER_H_
#define KEEL_CORE_ENGINE_REASONING_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/chat/parsers/reasoning.h"
#include "core/text/detokenizer.h"

namespace keel {

struct ReasoningBounds {
  std::optional<int64_t> budget = {};       // tokens between the markers; unset: any number
  std::optional<int32_t> begin_token = {};  // the marker that begins it, where that is one token
  std::vector<int32_t> end_tokens = {};     // the marker that ends it
};

// Copyable, so that a sequence can fork; one thread at a time.
class ReasoningTracker {
 public:
  // `detokenizer` is primed with the prompt and keeps the markers; `splitter` is at the prompt's end.
  ReasoningTracker(ReasoningSplitter splitter, IncrementalDetokenizer detokenizer,
                   ReasoningBounds bounds);

  // The next token is one of the reasoning, or of the marker that ends it.
  bool is_within() const { return !is_over_ && splitter_.is_within(); }
  // None will be any more.
  bool is_over() const { return is_over_; }
  // The token that would begin it now; unset: it has begun, or cannot.
  std::optional<int32_t> begin_token() const {
    return !is_over_ && splitter_.is_before() ? bounds_.begin_token : std::nullopt;
  }
  // The only token that may come next, since the budget is used up; unset: others may.
  std::optional<int32_t> forced_token() const;

  absl::Status Take(int32_t token);

 private:
  ReasoningSplitter splitter_;
  IncrementalDetokenizer detokenizer_;
  ReasoningBounds bounds_;
  int64_t num_tokens_ = 0;  // of the reasoning
  size_t num_forced_ = 0;   // of the marker at its end
  bool is_over_ = false;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_REASONING_TRACKER_H_
