#include "apps/common/json_fields.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(JsonFieldsTest, ReadsWhatIsThere) {
  const boost::json::object object = ParseObject(R"({"name": "a", "size": 3})");
  EXPECT_EQ(TextField(object, "name"), "a");
  EXPECT_EQ(NumberField(object, "size"), 3);
}

TEST(JsonFieldsTest, WhatIsAbsentOrOfAnotherKindIsEmpty) {
  const boost::json::object object = ParseObject(R"({"name": 1, "size": "3"})");
  EXPECT_EQ(TextField(object, "name"), "");
  EXPECT_EQ(TextField(object, "none"), "");
  EXPECT_EQ(NumberField(object, "size"), 0);
  EXPECT_EQ(NumberField(object, "none"), 0);
}

TEST(JsonFieldsTest, WhatIsNoObjectHasNoFields) {
  EXPECT_TRUE(ParseObject("[1]").empty());
  EXPECT_TRUE(ParseObject("{").empty());
}

}  // namespace
}  // namespace keel::apps
