#include "core/check/words.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace keel {

std::string BytesText(int64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return Count(bytes, "byte");
  double size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(kUnits)) {
    size /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", size, kUnits[unit]);
}

std::string Count(int64_t n, absl::string_view noun) {
  return absl::StrCat(n, " ", noun, n == 1 ? "" : "s");
}

std::string LayersText(const std::vector<int>& layers) {
  std::string text = layers.size() == 1 ? "layer " : "layers ";
  for (size_t i = 0; i < layers.size();) {
    size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) ++last;
    absl::StrAppend(&text, i == 0 ? "" : ", ", layers[i]);
    if (last > i) absl::StrAppend(&text, "-", layers[last]);
    i = last + 1;
  }
  return text;
}

std::vector<std::string> FirstLines(const std::vector<std::string>& lines) {
  constexpr size_t kShown = 20;
  std::vector<std::string> shown(lines.begin(), lines.begin() + std::min(kShown, lines.size()));
  if (lines.size() > kShown) shown.push_back(absl::StrCat("and ", lines.size() - kShown, " more"));
  return shown;
}

}  // namespace keel
