#include "apps/common/log.h"

#include <string>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

std::string Logged(LogFormat format) {
  SetLogFormat(format);
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kWarning, "say \"this\"", {{"status", 200}});
  SetLogFormat(LogFormat::kText);
  return ::testing::internal::GetCapturedStderr();
}

TEST(LogTest, ALineForPeopleIsItsText) {
  EXPECT_THAT(Logged(LogFormat::kText),
              ::testing::ContainsRegex("^[0-9-]+ [0-9:.]+ warning say \"this\"\n$"));
}

TEST(LogTest, ALineForProgramsIsAnObject) {
  const boost::json::object line = boost::json::parse(Logged(LogFormat::kJson)).as_object();
  EXPECT_EQ(line.at("level"), "warning");
  EXPECT_EQ(line.at("message"), "say \"this\"");
  EXPECT_EQ(line.at("status"), 200);
  EXPECT_THAT(std::string(line.at("time").as_string()),
              ::testing::ContainsRegex("^[0-9-]+T[0-9:.]+Z$"));
}

}  // namespace
}  // namespace keel::apps
