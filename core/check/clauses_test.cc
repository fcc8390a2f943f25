#include <set>
#include <string>

#include "core/check/clause.h"
#include "core/check/words.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;

TEST(ClausesTest, CodesAscendAndAClauseRestsOnEarlierOnes) {
  std::set<int> before = {0};
  for (const Clause& clause : Clauses()) {
    EXPECT_GT(clause.code, *before.rbegin());
    for (const int code : clause.needs) EXPECT_TRUE(before.count(code) > 0) << clause.code;
    before.insert(clause.code);
  }
  EXPECT_EQ(ClauseCode(101), "KEEL-CHK-101");
}

TEST(WordsTest, BytesAreInTheUnitThatFits) {
  EXPECT_EQ(BytesText(0), "0 bytes");
  EXPECT_EQ(BytesText(1), "1 byte");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(int64_t{5} << 40), "5.0 TiB");
  EXPECT_EQ(BytesText(int64_t{5} << 50), "5120.0 TiB");
}

TEST(WordsTest, LayersAreInRuns) {
  EXPECT_EQ(LayersText({4}), "layer 4");
  EXPECT_EQ(LayersText({0, 1, 2, 5, 7, 8}), "layers 0-2, 5, 7-8");
}

TEST(WordsTest, OfManyLinesTheFirstAreShown) {
  std::vector<std::string> lines(23, "x");
  EXPECT_EQ(FirstLines(lines).size(), 21u);
  EXPECT_EQ(FirstLines(lines).back(), "and 3 more");
  EXPECT_THAT(FirstLines({"a"}), ElementsAre("a"));
}

}  // namespace
}  // namespace keel
