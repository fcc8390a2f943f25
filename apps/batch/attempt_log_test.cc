#include "apps/batch/attempt_log.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

class AttemptLogTest : public ::testing::Test {
 protected:
  AttemptLogTest() { std::filesystem::remove(path_); }

  std::unique_ptr<AttemptLog> Open(bool resume = true) {
    return std::move(AttemptLog::Open(path_, resume)).value();
  }

  const std::string path_ = ::testing::TempDir() + "/out.jsonl.attempts";
};

TEST_F(AttemptLogTest, WhatRanWhenAProcessDiedIsCounted) {
  for (int deaths = 0; deaths < 3; ++deaths) {
    const auto log = Open();
    EXPECT_EQ(log->crashes("a \"name\"\n"), deaths);
    EXPECT_EQ(log->crashes("done"), 0);
    EXPECT_TRUE(log->Run("done").ok());
    EXPECT_TRUE(log->Run("a \"name\"\n").ok());
    EXPECT_TRUE(log->Done("done").ok());
  }
  EXPECT_EQ(Open()->crashes("a \"name\"\n"), 3);
}

TEST_F(AttemptLogTest, WhatWasReadWhenAProcessDiedIsCounted) {
  for (int deaths = 0; deaths < 2; ++deaths) {
    const auto log = Open();
    EXPECT_EQ(log->crashes_reading(2), deaths);
    EXPECT_TRUE(log->Read(1).ok());
    EXPECT_TRUE(log->HasRead().ok());
    EXPECT_TRUE(log->Run("first").ok());
    EXPECT_TRUE(log->Done("first").ok());
    EXPECT_TRUE(log->Read(2).ok());
  }
  const auto log = Open();
  EXPECT_EQ(log->crashes_reading(1), 0);
  EXPECT_EQ(log->crashes_reading(2), 2);
  EXPECT_EQ(log->crashes("first"), 0);
  EXPECT_TRUE(log->End(/*is_complete=*/true).ok());
  EXPECT_EQ(Open()->crashes_reading(2), 2) << "who reads the input again is told";
}

TEST_F(AttemptLogTest, AProcessThatEndsInOrderHasNotDied) {
  auto log = Open();
  EXPECT_TRUE(log->Run("a").ok());
  log = Open();
  EXPECT_TRUE(log->Run("a").ok());
  EXPECT_TRUE(log->End(/*is_complete=*/false).ok());
  log = Open();
  EXPECT_EQ(log->crashes("a"), 1);
  EXPECT_TRUE(log->End(/*is_complete=*/true).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(AttemptLogTest, AnewMeansThatNothingIsKnown) {
  EXPECT_TRUE(Open()->Run("a").ok());
  EXPECT_EQ(Open(/*resume=*/false)->crashes("a"), 0);
  EXPECT_EQ(Open()->crashes("a"), 0);
}

// A kill in the middle of a write.
TEST_F(AttemptLogTest, ATornLineHidesNothingElse) {
  EXPECT_TRUE(Open()->Run("a").ok());
  std::ofstream(path_, std::ios::app) << R"({"event":"ru)";
  EXPECT_TRUE(Open()->Run("a").ok());
  EXPECT_EQ(Open()->crashes("a"), 2);
}

TEST_F(AttemptLogTest, WhereItCannotBeWrittenIsSaid) {
  const auto log = AttemptLog::Open("/nowhere/out.attempts", true);
  EXPECT_THAT(log.status().message(), HasSubstr("/nowhere/out.attempts cannot be written"));
}

}  // namespace
}  // namespace keel::apps
