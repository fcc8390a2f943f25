#include "apps/wire/fields.h"

#include <cstdint>
#include <string>
#include <vector>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The message of the error that `read` leaves for the object `text`.
template <typename Read>
std::string ErrorOf(const char* text, Read read) {
  const json::value value = json::parse(text);
  Fields fields(value.get_object());
  read(fields);
  return fields.ok() ? "" : fields.error()->message;
}

TEST(FieldsTest, ValuesAreReadByType) {
  const json::value value = json::parse(
      R"({"i": 3, "f": 3.0, "x": 0.5, "b": true, "s": "t", "l": ["a", "b"], "t": [1, 2], "o": {}})");
  Fields fields(value.get_object());
  EXPECT_EQ(fields.Int("i"), 3);
  EXPECT_EQ(fields.Int("f"), 3);
  EXPECT_EQ(fields.Number("x"), 0.5);
  EXPECT_EQ(fields.Number("i"), 3.0);
  EXPECT_EQ(fields.Bool("b"), true);
  EXPECT_EQ(fields.String("s"), "t");
  EXPECT_THAT(fields.Strings("s"), ElementsAre("t"));
  EXPECT_THAT(fields.Strings("l"), ElementsAre("a", "b"));
  EXPECT_THAT(fields.TokenIds("t"), ElementsAre(1, 2));
  EXPECT_NE(fields.Object("o"), nullptr);
  EXPECT_NE(fields.Array("l"), nullptr);
  EXPECT_TRUE(fields.ok());
}

TEST(FieldsTest, ABodyTakesAFewTimesItsSize) {
  json::value body;
  std::string text = "{\"a\": [";
  for (int i = 0; i < 3'000'000; ++i) text += "0,";
  text += "0]}";
  const MaybeError error = ParseBody(text, &body);
  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message, HasSubstr("the body holds too many values for its 6000010 bytes"));
  // What is long as a text may be.
  text = "{\"a\": \"";
  text.append(6'000'000, 'x').append("\"}");
  EXPECT_FALSE(ParseBody(text, &body).has_value());
  EXPECT_EQ(body.at("a").as_string().size(), 6'000'000U);
  EXPECT_FALSE(ParseBody("{\"a\": 1}", &body).has_value());
  EXPECT_EQ(body.at("a"), 1);
}

// The engine's name of a field is data; what it says is for people.
TEST(FieldsTest, ARefusalNamesAFieldOfTheBody) {
  const json::object body = {{"temperature", -1}};
  Request request;
  const Status refused = request.SetFloat("temperature", -1);
  EXPECT_EQ(RefusedCall(refused, body).field, "temperature");
  EXPECT_EQ(RefusedCall(refused, {}).field, "");
  EXPECT_EQ(FromEngine(refused).field, "temperature");
  EXPECT_EQ(FromEngine(refused, "sampling.temperature").field, "sampling.temperature");
  EXPECT_EQ(RefusedCall(Status(Code::kInvalidArgument, "temperature is odd"), body).field, "");
}

TEST(FieldsTest, WhatIsAbsentOrNullIsNothing) {
  const json::value value = json::parse(R"({"a": null})");
  Fields fields(value.get_object());
  for (const char* name : {"a", "b"}) {
    EXPECT_FALSE(fields.Has(name));
    EXPECT_FALSE(fields.Int(name).has_value());
    EXPECT_FALSE(fields.String(name).has_value());
    EXPECT_EQ(fields.Array(name), nullptr);
    EXPECT_TRUE(fields.TokenIds(name).empty());
  }
  EXPECT_TRUE(fields.ok());
}

TEST(FieldsTest, AWrongTypeNamesTheFieldWhatWasFoundAndExpected) {
  EXPECT_EQ(ErrorOf(R"({"a": "3"})", [](Fields& f) { f.Int("a"); }),
            "a is \"3\" (a string), expected a whole number");
  EXPECT_EQ(ErrorOf(R"({"a": 3.5})", [](Fields& f) { f.Int("a"); }),
            "a is 3.5 (a number), expected a whole number");
  EXPECT_EQ(ErrorOf(R"({"a": 1e300})", [](Fields& f) { f.Int("a"); }),
            "a is 1e+300 (a number), expected a whole number");
  EXPECT_EQ(ErrorOf(R"({"a": 18446744073709551615})", [](Fields& f) { f.Int("a"); }),
            "a is 18446744073709551615 (a number), expected a whole number");
  EXPECT_EQ(ErrorOf(R"({"a": true})", [](Fields& f) { f.Number("a"); }),
            "a is true (a boolean), expected a number");
  EXPECT_EQ(ErrorOf(R"({"a": 1})", [](Fields& f) { f.Bool("a"); }),
            "a is 1 (a number), expected true or false");
  EXPECT_EQ(ErrorOf(R"({"a": {"b": 1}})", [](Fields& f) { f.String("a"); }),
            "a is an object of 1, expected a string");
  EXPECT_EQ(ErrorOf(R"({"a": ["x", 1]})", [](Fields& f) { f.Strings("a"); }),
            "a[1] is 1 (a number), expected a string");
  EXPECT_EQ(ErrorOf(R"({"a": [-1]})", [](Fields& f) { f.TokenIds("a"); }),
            "a is a list of 1, expected a list of token ids (whole numbers)");
  EXPECT_EQ(ErrorOf(R"({"a": [4294967296]})", [](Fields& f) { f.TokenIds("a"); }),
            "a is a list of 1, expected a list of token ids (whole numbers)");
}

TEST(FieldsTest, TheFirstErrorIsKeptWithItsPath) {
  const json::value value = json::parse(R"({"a": "x", "b": "y"})");
  Fields fields(value.get_object(), "messages[2].");
  fields.Int("a");
  fields.Int("b");
  EXPECT_EQ(fields.error()->field, "messages[2].a");
  EXPECT_EQ(fields.error()->code, ErrorCode::kInvalid);
  EXPECT_THAT(fields.error()->message, HasSubstr("messages[2].a is \"x\""));
}

TEST(FieldsTest, LongValuesAreShownInPart) {
  std::string text = "a";
  for (int i = 0; i < 100; ++i) text += "\xC3\xBC";  // 100 bytes end amid a character
  const std::string shown = Show(json::value(text));
  EXPECT_LT(shown.size(), 130U);
  EXPECT_THAT(shown, HasSubstr("\xC3\xBC\"... (a string)"));
  EXPECT_EQ(Show(json::array(1000)), "a list of 1000");
}

TEST(ParseBodyTest, WhatIsNoObjectIsRefusedInWords) {
  json::value body;
  EXPECT_FALSE(ParseBody(" {\"a\": 1} \n", &body).has_value());
  EXPECT_EQ(body.at("a"), 1);
  EXPECT_EQ(ParseBody("[]", &body)->message, "the body is a list of 0, expected a JSON object");
  EXPECT_EQ(ParseBody("7", &body, "the line")->message,
            "the line is 7 (a number), expected a JSON object");
  for (const char* bad :
       {"", "{", "{\"a\": 1} x", "{\"a\": \"\xFF\"}", "{'a': 1}", "{\"a\": NaN}"}) {
    const MaybeError error = ParseBody(bad, &body);
    ASSERT_TRUE(error.has_value()) << bad;
    EXPECT_THAT(error->message, HasSubstr("the body is no valid JSON: ")) << bad;
  }
}

// The bound is for what was sent; its values are copied by who reads them.
TEST(ParseBodyTest, ValuesMayBeCopiedBeyondTheBoundOfABody) {
  std::string text = R"({"a": [1)";
  for (int i = 0; i < 200'000; ++i) text += ",1";
  json::value body;
  ASSERT_FALSE(ParseBody(text + "]}", &body).has_value());
  std::vector<json::value> copies;
  for (int i = 0; i < 10; ++i) copies.emplace_back(body.at("a"), body.storage());
  EXPECT_EQ(copies.back().as_array().size(), 200'001u);
}

TEST(ParseBodyTest, DeepNestingIsRefused) {
  json::value body;
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_FALSE(ParseBody(nested(20), &body).has_value());
  EXPECT_TRUE(ParseBody(nested(100'000), &body).has_value());
}

}  // namespace
}  // namespace keel::apps
