#include "core/base/nearest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace keel {
namespace {

// Insertions, deletions and replacements between two words (Levenshtein), case ignored.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1]);
      const size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> NearestNames(absl::string_view name, const std::vector<std::string>& names,
                                      size_t limit) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : names) {
    const size_t distance = Distance(name, candidate);
    if (distance <= std::max(name.size(), candidate.size()) / 2) {
      near.emplace_back(distance, candidate);
    }
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> nearest;
  for (auto& [distance, candidate] : near) {
    if (nearest.size() < limit) nearest.push_back(std::move(candidate));
  }
  return nearest;
}

}  // namespace keel
