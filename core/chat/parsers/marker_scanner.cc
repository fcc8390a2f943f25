#include "core/chat/parsers/marker_scanner.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace keel {

size_t HeldBytes(absl::string_view text, absl::Span<const absl::string_view> markers) {
  size_t held = 0;
  for (const absl::string_view marker : markers) {
    if (marker.empty()) continue;
    for (size_t n = std::min(marker.size() - 1, text.size()); n > held; --n) {
      if (!absl::EndsWith(text, marker.substr(0, n))) continue;
      held = n;
      break;
    }
  }
  return held;
}

int MarkerScanner::TakeUntil(absl::Span<const absl::string_view> markers, std::string* before) {
  size_t first = std::string::npos;
  int found = -1;
  for (size_t i = 0; i < markers.size(); ++i) {
    const size_t at = buffer_.find(markers[i].data(), 0, markers[i].size());
    const bool is_better =
        at < first || (at == first && found >= 0 &&
                       markers[i].size() > markers[static_cast<size_t>(found)].size());
    if (at == std::string::npos || !is_better) continue;
    first = at;
    found = static_cast<int>(i);
  }
  if (found < 0) {
    const size_t certain = buffer_.size() - HeldBytes(buffer_, markers);
    before->append(buffer_, 0, certain);
    buffer_.erase(0, certain);
    return -1;
  }
  before->append(buffer_, 0, first);
  buffer_.erase(0, first + markers[static_cast<size_t>(found)].size());
  return found;
}

void MarkerScanner::PutBack(absl::string_view text) { buffer_.insert(0, text.data(), text.size()); }

bool MarkerScanner::TakeMarker(absl::string_view marker) {
  if (!absl::StartsWith(buffer_, marker)) return false;
  buffer_.erase(0, marker.size());
  return true;
}

bool MarkerScanner::MayBecome(absl::Span<const absl::string_view> markers) const {
  return std::any_of(markers.begin(), markers.end(), [this](absl::string_view marker) {
    return buffer_.size() < marker.size() && absl::StartsWith(marker, buffer_);
  });
}

}  // namespace keel
