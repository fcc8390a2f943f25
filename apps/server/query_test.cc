#include "apps/server/query.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(QueryTest, ValuesAreFoundAndDecoded) {
  EXPECT_EQ(QueryValue("limit=2&after=a%2fb%3D&x", "after"), "a/b=");
  EXPECT_EQ(QueryValue("limit=2&after=a", "limit"), "2");
  EXPECT_EQ(QueryValue("x&y=", "x"), "");
  EXPECT_EQ(QueryValue("x&y=", "y"), "");
  EXPECT_EQ(QueryValue("xy=1", "x"), std::nullopt);
  EXPECT_EQ(QueryValue("", "x"), std::nullopt);
  EXPECT_EQ(DecodePercent("100%"), "100%");
  EXPECT_EQ(DecodePercent("%4"), "%4");
  EXPECT_EQ(DecodePercent("%zz"), "%zz");
  EXPECT_EQ(DecodePercent("%e6%b2%b3%ff"), "河\uFFFD");
}

TEST(QueryTest, NumbersHaveBounds) {
  int64_t value = 0;
  EXPECT_FALSE(ReadQueryNumber("", "limit", 1, 100, 20, &value).has_value());
  EXPECT_EQ(value, 20);
  EXPECT_FALSE(ReadQueryNumber("limit=100", "limit", 1, 100, 20, &value).has_value());
  EXPECT_EQ(value, 100);
  for (const char* query : {"limit=0", "limit=101", "limit=x", "limit=1x", "limit="}) {
    const MaybeError error = ReadQueryNumber(query, "limit", 1, 100, 20, &value);
    ASSERT_TRUE(error.has_value()) << query;
    EXPECT_THAT(error->message, ::testing::EndsWith("', expected 1 to 100"));
    EXPECT_EQ(error->field, "limit");
  }
  std::string text = "x";  // cut within a character
  while (text.size() < 200) text += "河";
  EXPECT_THAT(ReadQueryNumber("limit=" + text, "limit", 1, 100, 20, &value)->message,
              ::testing::HasSubstr("河', expected"));
}

}  // namespace
}  // namespace keel::apps
