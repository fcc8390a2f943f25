#include "apps/server/store/database.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() { std::filesystem::remove(path_); }
  std::unique_ptr<Database> Open() {
    auto database = Database::Open(path_);
    EXPECT_TRUE(database.ok()) << database.status().message();
    return *std::move(database);
  }

  const std::string path_ = ::testing::TempDir() + "/test.sqlite";
};

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  auto database = Open();
  ASSERT_TRUE(database->Run("CREATE TABLE t (a, b, c)").ok());
  const std::string text("it's \0 a text", 13);
  ASSERT_TRUE(database->Run("INSERT INTO t VALUES (?, ?, ?)", {text, int64_t{1} << 40, {}}).ok());
  database = nullptr;
  database = Open();
  const auto rows = database->Run("SELECT a, b, c FROM t");
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(TextOf((*rows)[0][0]), text);
  EXPECT_EQ(IntegerOf((*rows)[0][1]), int64_t{1} << 40);
  EXPECT_EQ(rows->at(0).at(2), Database::Value());
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedNeverWas) {
  auto database = Open();
  ASSERT_TRUE(database->Run("CREATE TABLE t (a)").ok());
  for (const bool commit : {false, true}) {
    Database::Transaction transaction(*database);
    ASSERT_TRUE(database->Run("INSERT INTO t VALUES (1)").ok());
    if (commit) {
      EXPECT_TRUE(transaction.Commit().ok());
    }
  }
  EXPECT_EQ(IntegerOf(database->Run("SELECT count(*) FROM t")->at(0).at(0)), 1);
}

TEST_F(DatabaseTest, OneProcessAtATime) {
  const auto first = Open();
  EXPECT_THAT(Database::Open(path_).status().message(),
              HasSubstr("test.sqlite is in use by another server"));
}

TEST_F(DatabaseTest, ErrorsNameTheFile) {
  EXPECT_THAT(Database::Open("/no/such/dir/x").status().message(),
              HasSubstr("/no/such/dir/x cannot be opened: unable to open"));
  EXPECT_THAT(Open()->Run("SELECT nonsense").status().message(),
              HasSubstr("test.sqlite: no such column: nonsense"));
}

}  // namespace
}  // namespace keel::apps
