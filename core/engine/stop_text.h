// The text of a sequence that a string in it ends: the engine makes it itself, to know when.
#ifndef KEEL_CORE_ENGINE_STOP_TEXT_H_
#define KEEL_CORE_ENGINE_STOP_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/engine/stop_checker.h"
#include "core/text/detokenizer.h"

namespace keel {

// Copyable, so that a sequence can fork.
class StopText {
 public:
  StopText(IncrementalDetokenizer detokenizer, StopChecker checker)
      : detokenizer_(std::move(detokenizer)), checker_(std::move(checker)) {}

  // The text that is now certain and no part of a stop string. Without `may_stop`, strings that end
  // with this token's text don't count.
  absl::StatusOr<std::string> Add(int32_t token, bool may_stop) {
    may_stop_ = may_stop;
    KEEL_ASSIGN_OR_RETURN(const std::string piece, detokenizer_.Add(token));
    return checker_.Add(piece, may_stop);
  }
  // The end came: what was held back.
  std::string Flush() {
    if (matched().has_value()) return "";
    std::string out;
    if (absl::StatusOr<std::string> rest = detokenizer_.Flush(); rest.ok())
      out = checker_.Add(*rest, may_stop_);
    return matched().has_value() ? out : out + checker_.Flush();
  }
  const std::optional<std::string>& matched() const { return checker_.matched(); }

 private:
  IncrementalDetokenizer detokenizer_;
  StopChecker checker_;
  bool may_stop_ = false;  // of the last token
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_STOP_TEXT_H_
