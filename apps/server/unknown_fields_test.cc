#include "apps/server/unknown_fields.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(UnknownFieldsTest, AreNamedInWordsFitForAHeader) {
  EXPECT_EQ(UnknownFieldsWarning({}), "");
  EXPECT_EQ(UnknownFieldsWarning({"foo", "a\r\nb"}),
            "fields that are not known were ignored: foo, a??b");
  const std::string many = UnknownFieldsWarning(std::vector<std::string>(12, "x"));
  EXPECT_TRUE(many.ends_with(" and 2 more")) << many;
}

TEST(UnknownFieldsTest, AnObjectGetsTheWarning) {
  const auto with = [](std::string body) {
    AddWarning("say \"x\"", &body);
    return body;
  };
  EXPECT_EQ(with(R"({"a":1})"), R"({"a":1,"warnings":["say \"x\""]})");
  EXPECT_EQ(with("{}"), R"({"warnings":["say \"x\""]})");
  EXPECT_EQ(with("[1]"), "[1]");
}

}  // namespace
}  // namespace keel::apps
