// Finds stop strings in text that comes in pieces, and holds back what may be the beginning of one.
#ifndef KEEL_CORE_ENGINE_STOP_CHECKER_H_
#define KEEL_CORE_ENGINE_STOP_CHECKER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace keel {

class StopChecker {
 public:
  // `include_stop`: the stop string stays in the text. Empty strings among `stops` are ignored.
  StopChecker(std::vector<std::string> stops, bool include_stop);

  // Takes the next piece and returns the text that can't become part of a stop string any more. When one is found, the
  // text before it (or with it) is returned, matched() names it and the rest is dropped. Without `may_stop` those that
  // end in this piece are let through.
  std::string Add(absl::string_view piece, bool may_stop = true);

  // The end came otherwise: returns what was held back.
  std::string Flush();

  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  bool include_stop_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_STOP_CHECKER_H_
