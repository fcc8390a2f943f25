#include "core/engine/stop_checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace keel {

StopChecker::StopChecker(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), include_stop_(include_stop) {
  std::erase(stops_, "");
}

std::string StopChecker::Add(absl::string_view piece, bool may_stop) {
  if (matched_.has_value()) return "";
  const size_t seen = held_.size();
  held_.append(piece.data(), piece.size());
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    // One that ends in what was seen before was let through.
    const size_t at = held_.find(stop, std::max(seen + 1, stop.size()) - stop.size());
    if (may_stop && at < first) {
      first = at;
      matched_ = stop;
    }
  }
  if (matched_.has_value()) {
    std::string out = held_.substr(0, first + (include_stop_ ? matched_->size() : 0));
    held_.clear();
    return out;
  }
  // The longest end of the text that is the beginning of a stop string.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (absl::StartsWith(stop, absl::string_view(held_).substr(held_.size() - n))) keep = n;
    }
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopChecker::Flush() { return std::exchange(held_, ""); }

}  // namespace keel
