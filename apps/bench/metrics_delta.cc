#include "apps/bench/metrics_delta.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

namespace keel::apps {
namespace {

constexpr std::string_view kSum = "_sum", kCount = "_count";

std::string_view WithoutEnd(std::string_view name, std::string_view end) {
  return name.substr(0, name.size() - end.size());
}

// Reads `labels`, what follows a name's '{', up to and with the '}'. Returns the labels that count.
std::optional<std::string> ReadLabels(std::string_view* rest) {
  std::string kept;
  while (!rest->starts_with('}')) {
    const size_t equals = rest->find("=\"");
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = rest->substr(0, equals);
    size_t end = equals + 2;
    while (end < rest->size() && (*rest)[end] != '"') end += (*rest)[end] == '\\' ? 2 : 1;
    if (end >= rest->size()) return std::nullopt;
    if (key != "model_name" && key != "engine") {
      kept.append(kept.empty() ? "" : ",").append(rest->substr(0, end + 1));
    }
    rest->remove_prefix(end + 1);
    if (rest->starts_with(',')) rest->remove_prefix(1);
  }
  rest->remove_prefix(1);
  return kept.empty() ? kept : "{" + kept + "}";
}

struct Sample {
  std::string_view name;
  std::string labels;
  double value = 0;
};

// name{labels} value timestamp
std::optional<Sample> ReadSample(std::string_view line) {
  Sample sample;
  sample.name = line.substr(0, line.find_first_of("{ "));
  line.remove_prefix(sample.name.size());
  if (line.starts_with('{')) {
    line.remove_prefix(1);
    std::optional<std::string> labels = ReadLabels(&line);
    if (!labels.has_value()) return std::nullopt;
    sample.labels = *std::move(labels);
  }
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), sample.value,
                                            std::chars_format::general);
  if (error != std::errc() || !std::isfinite(sample.value)) return std::nullopt;
  return sample;
}

}  // namespace

Counts ReadCounts(std::string_view prometheus_text) {
  Counts counts;
  std::set<std::string, std::less<>> counted;  // the names of samples that count
  std::string_view rest = prometheus_text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    constexpr std::string_view kType = "# TYPE ";
    if (line.starts_with(kType)) {
      const std::string_view name_and_type = line.substr(kType.size());
      const std::string name(name_and_type.substr(0, name_and_type.find(' ')));
      if (name_and_type.ends_with(" counter")) counted.insert(name);
      if (name_and_type.ends_with(" histogram") || name_and_type.ends_with(" summary")) {
        counted.insert(name + std::string(kSum));
        counted.insert(name + std::string(kCount));
      }
    }
    if (!line.starts_with("keel:") && !line.starts_with("vllm:")) continue;
    const std::optional<Sample> sample = ReadSample(line);
    if (!sample.has_value() || !counted.contains(sample->name)) continue;
    counts[std::string(sample->name) + sample->labels] += sample->value;
  }
  return counts;
}

Counts Difference(const Counts& before, const Counts& after) {
  Counts grown;
  for (const auto& [name, value] : after) {
    const auto it = before.find(name);
    const double by = value - (it == before.end() ? 0 : it->second);
    if (by > 0) grown[name] = by;
  }
  return grown;
}

boost::json::object ToJson(const Counts& counts) {
  boost::json::object object;
  for (const auto& [name, value] : counts) object[name] = value;
  return object;
}

std::string ToText(const Counts& counts) {
  std::string text;
  for (const auto& [name, value] : counts) {
    char number[64];
    std::snprintf(number, sizeof(number), "  %14.10g", value);
    text += "  " + name + std::string(60 - std::min<size_t>(60, name.size()), ' ') + number;
    if (name.ends_with(kSum)) {
      const auto count = counts.find(std::string(WithoutEnd(name, kSum)) + std::string(kCount));
      if (count != counts.end()) {
        std::snprintf(number, sizeof(number), "  mean %.4g", value / count->second);
        text += number;
      }
    }
    text += "\n";
  }
  return text;
}

}  // namespace keel::apps
