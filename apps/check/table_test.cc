#include "apps/check/table.h"

#include <string>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

boost::json::object Report() {
  return boost::json::parse(R"({"counts": {"fail": 1, "pass": 1, "skip": 0, "warn": 0}, "clauses": [
      {"code": "KEEL-CHK-101", "title": "found", "verdict": "pass", "found": "/m", "remedy": "",
       "details": ["a part"]},
      {"code": "KEEL-CHK-502", "title": "none missing", "verdict": "fail", "found": "2 tensors",
       "remedy": "download it again", "details": ["model.norm.weight"]}]})")
      .get_object();
}

TEST(TableTest, ARowAClauseAndPlainTextWithoutATerminal) {
  EXPECT_EQ(FormatReport(Report(), {}),
            "pass  KEEL-CHK-101  found: /m\n"
            "fail  KEEL-CHK-502  none missing: 2 tensors\n"
            "                    - model.norm.weight\n"
            "                    -> download it again\n"
            "1 pass, 1 fail\n");
}

TEST(TableTest, DetailsOfWhatPassesComeWhenAskedFor) {
  EXPECT_THAT(FormatReport(Report(), {.details = true}), HasSubstr("- a part\n"));
}

TEST(TableTest, ATerminalSeesColours) {
  EXPECT_THAT(FormatReport(Report(), {.colour = true}), HasSubstr("\033[31mfail\033[0m  KEEL"));
  EXPECT_THAT(FormatReport(Report(), {}), Not(HasSubstr("\033")));
}

TEST(TableTest, LongTextsAreFoldedBehindTheirColumn) {
  boost::json::object report = Report();
  report["clauses"].as_array()[0].as_object()["found"] = "one two three";
  EXPECT_THAT(FormatReport(report, {.width = 34}),
              HasSubstr("found: one two\n                    three\n"));
}

}  // namespace
}  // namespace keel::apps
