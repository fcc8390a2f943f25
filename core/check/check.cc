#include "core/check/check.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace keel {
namespace {

// The clause that `clause` rests on and that did not hold; 0 if all did.
int Missing(const Clause& clause, const std::map<int, Verdict>& verdicts) {
  for (const int code : clause.needs) {
    const auto found = verdicts.find(code);
    if (found == verdicts.end()) continue;
    if (found->second == Verdict::kFail || found->second == Verdict::kSkip) return code;
  }
  return 0;
}

}  // namespace

bool CheckReport::passed() const {
  return std::none_of(clauses.begin(), clauses.end(), [](const CheckedClause& checked) {
    return checked.finding.verdict == Verdict::kFail;
  });
}

CheckReport CheckModel(const CheckOptions& options) {
  CheckReport report{options.engine.model.name, "", {}};
  Inspection inspection(options);
  std::map<int, Verdict> verdicts;
  for (const Clause& clause : Clauses()) {
    Finding finding;
    if (const int missing = Missing(clause, verdicts); missing != 0) {
      finding = {Verdict::kSkip, absl::StrCat("rests on ", ClauseCode(missing))};
    } else {
      finding = clause.check(inspection);
    }
    verdicts[clause.code] = finding.verdict;
    report.clauses.push_back({&clause, std::move(finding)});
  }
  report.dir = inspection.dir;
  return report;
}

std::string ToJson(const CheckReport& report) {
  std::map<std::string, int> counts = {{"pass", 0}, {"warn", 0}, {"fail", 0}, {"skip", 0}};
  boost::json::array clauses;
  for (const auto& [clause, finding] : report.clauses) {
    ++counts[VerdictName(finding.verdict)];
    clauses.push_back(boost::json::object{
        {"code", ClauseCode(clause->code)},
        {"title", clause->title},
        {"verdict", VerdictName(finding.verdict)},
        {"found", finding.found},
        {"remedy", finding.remedy},
        {"details", boost::json::array(finding.details.begin(), finding.details.end())}});
  }
  boost::json::object totals;
  for (const auto& [verdict, count] : counts) totals[verdict] = count;
  return boost::json::serialize(boost::json::object{{"model", report.model},
                                                    {"dir", report.dir},
                                                    {"passed", report.passed()},
                                                    {"counts", std::move(totals)},
                                                    {"clauses", std::move(clauses)}});
}

}  // namespace keel
