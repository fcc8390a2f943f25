#include "core/conformance/report.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace keel::conformance {
namespace {

namespace json = boost::json;

std::string_view Std(absl::string_view text) { return {text.data(), text.size()}; }

const char* LevelName(Requirement::Level level) {
  return level == Requirement::Level::kMust ? "MUST" : "SHOULD";
}

}  // namespace

std::string JsonReport(const Subject& subject, absl::Span<const Result> results) {
  json::array rows;
  for (const Result& result : results) {
    const Requirement& requirement = *result.requirement;
    rows.push_back({
        {"id", RequirementId(requirement.number)},
        {"group", std::string(1, requirement.group)},
        {"level", LevelName(requirement.level)},
        {"text", requirement.text},
        {"outcome", Std(OutcomeName(result.finding.outcome))},
        {"message", result.finding.message},
        {"waiver", result.waiver},
        {"seconds", absl::ToDoubleSeconds(result.took)},
    });
  }
  const bool ok = std::none_of(results.begin(), results.end(),
                               [](const Result& r) { return r.counts_as_failure(); });
  const json::object report = {
      {"plugin", subject.plugin},
      {"seed", subject.seed},
      {"configs", json::array(subject.configs.begin(), subject.configs.end())},
      {"ok", ok},
      {"results", std::move(rows)},
  };
  return absl::StrCat(json::serialize(report), "\n");
}

std::string JunitReport(const Subject& subject, absl::Span<const Result> results) {
  boost::property_tree::ptree suite;
  int failures = 0, skipped = 0;
  double seconds = 0;
  for (const Result& result : results) {
    boost::property_tree::ptree test;
    const Requirement& requirement = *result.requirement;
    test.put("<xmlattr>.classname", absl::StrCat("keel.", std::string(1, requirement.group)));
    test.put("<xmlattr>.name",
             absl::StrCat(RequirementId(requirement.number), " ", requirement.text));
    test.put("<xmlattr>.time", absl::ToDoubleSeconds(result.took));
    seconds += absl::ToDoubleSeconds(result.took);
    // XML has no control characters, not even as references.
    const std::string message = absl::Utf8SafeCEscape(result.finding.message);
    if (result.counts_as_failure()) {
      ++failures;
      test.put("failure.<xmlattr>.message", message);
      test.put("failure.<xmlattr>.type", std::string(OutcomeName(result.finding.outcome)));
    } else if (result.finding.outcome == Outcome::kSkip || !result.waiver.empty()) {
      ++skipped;
      test.put("skipped.<xmlattr>.message",
               result.waiver.empty() ? message : absl::StrCat("waived: ", result.waiver));
    } else if (result.finding.outcome == Outcome::kWarn) {
      test.put("system-out", message);
    }
    suite.add_child("testcase", test);
  }
  suite.put("<xmlattr>.name", subject.plugin);
  suite.put("<xmlattr>.tests", results.size());
  suite.put("<xmlattr>.failures", failures);
  suite.put("<xmlattr>.skipped", skipped);
  suite.put("<xmlattr>.time", seconds);
  boost::property_tree::ptree document;
  document.add_child("testsuite", suite);
  std::ostringstream out;
  boost::property_tree::write_xml(out, document);
  return out.str();
}

}  // namespace keel::conformance
