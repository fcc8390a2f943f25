#include "apps/bench/token_range.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(TokenRangeTest, IsANumberOrTwo) {
  EXPECT_EQ(ParseTokenRange("64"), (TokenRange{64, 64}));
  EXPECT_EQ(ParseTokenRange("64-256"), (TokenRange{64, 256}));
  EXPECT_EQ(ParseTokenRange("7-7"), (TokenRange{7, 7}));
  for (const char* text : {"", "0", "-", "-5", "5-", "9-3", "1-2-3", "x", "4x", " 4", "0-4", "1e3",
                           "99999999", "99999999999999999999999"}) {
    EXPECT_EQ(ParseTokenRange(text), std::nullopt) << text;
  }
}

TEST(TokenRangeTest, TextIsReadBack) {
  for (const char* text : {"64", "64-256"}) EXPECT_EQ(ToString(*ParseTokenRange(text)), text);
}

TEST(TokenRangeTest, DrawsAllOfIt) {
  std::mt19937 random(0);
  std::vector<size_t> drawn(10);
  for (int i = 0; i < 1000; ++i) ++drawn.at(TokenRange{3, 6}.Draw(random));
  for (size_t i = 0; i < drawn.size(); ++i) EXPECT_EQ(drawn[i] > 0, i >= 3 && i <= 6) << i;
}

}  // namespace
}  // namespace keel::apps
