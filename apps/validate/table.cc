#include "apps/validate/table.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace keel::apps {
namespace {

using conformance::Outcome;
using conformance::Result;

constexpr Outcome kOutcomes[] = {Outcome::kPass, Outcome::kFail, Outcome::kCrash, Outcome::kWarn,
                                 Outcome::kSkip};

const char* Colour(const Result& result) {
  if (result.counts_as_failure()) return "\x1b[31m";
  switch (result.finding.outcome) {
    case Outcome::kPass:
      return "\x1b[32m";
    case Outcome::kSkip:
      return "\x1b[2m";
    default:
      return "\x1b[33m";
  }
}

std::string Name(Outcome outcome) {
  const auto name = conformance::OutcomeName(outcome);
  return std::string(name.data(), name.size());
}

std::string Padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

}  // namespace

std::string ResultLine(const Result& result, bool colour) {
  const std::string indent(21, ' ');
  std::string line = Padded(Name(result.finding.outcome), 7);
  if (colour) line = Colour(result) + line + "\x1b[0m";
  line += Padded(RequirementId(result.requirement->number), 14) + result.requirement->text + "\n";
  const bool shows_message =
      result.finding.outcome != Outcome::kPass && !result.finding.message.empty();
  if (shows_message) line += indent + result.finding.message + "\n";
  if (result.counts_as_failure()) {
    line += indent + "consequence: " + result.requirement->consequence + "\n";
  }
  if (!result.waiver.empty()) line += indent + "waived: " + result.waiver + "\n";
  return line;
}

std::string SummaryLine(const std::string& plugin, const std::vector<Result>& results) {
  std::string line;
  for (const Outcome outcome : kOutcomes) {
    const auto n = std::count_if(results.begin(), results.end(),
                                 [&](const Result& r) { return r.finding.outcome == outcome; });
    if (n > 0) line += (line.empty() ? "" : ", ") + std::to_string(n) + " " + Name(outcome);
  }
  const bool ok = std::none_of(results.begin(), results.end(),
                               [](const Result& r) { return r.counts_as_failure(); });
  const std::string file = plugin.substr(plugin.rfind('/') + 1);
  return line + ": " + file + (ok ? " keeps its contract\n" : " breaks its contract\n");
}

std::string RequirementList() {
  std::string out;
  char group = 0;
  for (const Requirement& requirement : Requirements()) {
    if (requirement.group != group) {
      group = requirement.group;
      for (const RequirementGroup& g : RequirementGroups()) {
        if (g.letter == group) out += std::string(1, group) + "  " + g.title + "\n";
      }
    }
    const bool must = requirement.level == Requirement::Level::kMust;
    out += "   " + RequirementId(requirement.number) + (must ? "  MUST    " : "  SHOULD  ") +
           requirement.text + "\n";
  }
  return out;
}

}  // namespace keel::apps
