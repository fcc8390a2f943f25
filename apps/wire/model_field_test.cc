#include "apps/wire/model_field.h"

#include <string>

#include "boost/json/parse.hpp"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

const std::vector<std::string> kNames = {"first", "org/second"};

MaybeError Read(const char* body, std::string* name) {
  return ReadModelName(boost::json::parse(body).as_object(), kNames, name);
}

TEST(ModelFieldTest, ACallNamesItsModelOrGetsTheFirst) {
  std::string name;
  EXPECT_FALSE(Read(R"({"model": "org/second"})", &name).has_value());
  EXPECT_EQ(name, "org/second");
  for (const char* body : {"{}", R"({"model": null})"}) {
    EXPECT_FALSE(Read(body, &name).has_value());
    EXPECT_EQ(name, "first");
  }
}

TEST(ModelFieldTest, ANameThatClientsMakeUpIsNone) {
  std::string name;
  for (const char* body : {R"({"model": "tgi"})", R"({"model": "dummy"})"}) {
    EXPECT_FALSE(Read(body, &name).has_value());
    EXPECT_EQ(name, "first");
  }
  // Unless a model is called so.
  EXPECT_FALSE(ReadModelName({{"model", "tgi"}}, {"first", "tgi"}, &name).has_value());
  EXPECT_EQ(name, "tgi");
}

TEST(ModelFieldTest, WhatIsNotServedIsNotFound) {
  std::string name;
  const MaybeError other = Read(R"({"model": "gpt-4"})", &name);
  EXPECT_EQ(other->code, ErrorCode::kModelNotFound);
  EXPECT_EQ(other->field, "model");
  EXPECT_EQ(other->message, "model 'gpt-4' is not served; this server has 'first', 'org/second'");
  EXPECT_EQ(Read(R"({"model": 5})", &name)->message, "model is 5 (a number), expected a string");
}

}  // namespace
}  // namespace keel::apps
