#include "apps/server/metrics_text.h"

#include <map>
#include <set>
#include <string_view>

namespace keel::apps {
namespace {

// "x" of "# TYPE x gauge"; "" of every other line.
std::string_view MetricOf(std::string_view line) {
  for (const std::string_view mark : {"# HELP ", "# TYPE "}) {
    if (!line.starts_with(mark)) continue;
    line.remove_prefix(mark.size());
    return line.substr(0, line.find(' '));
  }
  return {};
}

struct Family {
  std::set<std::string_view> heads;  // what was said of it
  std::string head, samples;
};

}  // namespace

std::string JoinMetrics(const std::vector<std::string>& texts) {
  std::map<std::string_view, Family> families;
  std::vector<std::string_view> order;
  for (const std::string& text : texts) {
    std::string_view rest = text, current;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      if (line.empty()) continue;
      const std::string_view metric = MetricOf(line);
      // Samples follow what is said of their metric.
      if (!metric.empty()) current = metric;
      const auto [it, is_new] = families.try_emplace(current);
      if (is_new) order.push_back(current);
      Family& family = it->second;
      if (metric.empty()) {
        family.samples.append(line).append("\n");
      } else if (family.heads.insert(line).second) {
        family.head.append(line).append("\n");
      }
    }
  }
  std::string joined;
  for (const std::string_view name : order) {
    joined += families[name].head + families[name].samples;
  }
  return joined;
}

}  // namespace keel::apps
