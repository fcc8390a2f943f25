#include "core/base/json.h"

#include <boost/json/serialize.hpp>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Optional;
using ::testing::StartsWith;
using testing::StatusIs;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

boost::json::value Parse(absl::string_view text) {
  absl::StatusOr<boost::json::value> value = ParseJson(text, "f.json");
  EXPECT_THAT(value, IsOk());
  return value.ok() ? *std::move(value) : boost::json::value();
}

TEST(JsonTest, ReadsStandardJson) {
  EXPECT_EQ(boost::json::serialize(Parse(R"( {"a": [1, -2.5, true, null, "x\n\u00e9"]} )")),
            "{\"a\":[1,-2.5E0,true,null,\"x\\n\xc3\xa9\"]}");
}

TEST(JsonTest, ErrorsNameFileLineAndColumn) {
  EXPECT_THAT(ParseJson("{\n  \"a\": 1,\n  \"b\": oops\n}", "f.json"),
              StatusIs(kInvalid, StartsWith("f.json:3:8: ")));
  EXPECT_THAT(ParseJson("{\"a\" 1}", "f.json"), StatusIs(kInvalid, StartsWith("f.json:1:6: ")));
  EXPECT_THAT(ParseJson("[1] 2", "f.json"),
              StatusIs(kInvalid, "f.json:1:5: more text after the end of the value"));
  EXPECT_THAT(ParseJson("[1,\n", "f.json"),
              StatusIs(kInvalid, "f.json:2:1: the text ends in the middle of a value"));
  EXPECT_THAT(ParseJson(" ", "f.json"), StatusIs(kInvalid, HasSubstr("the text is empty")));
  EXPECT_THAT(ParseJson("\"\xff\"", "f.json"), StatusIs(kInvalid, StartsWith("f.json:1:2: ")));
}

TEST(JsonTest, ErrorPositionIsExactInLongText) {
  const std::string lines(5000, '\n');
  EXPECT_THAT(ParseJson(lines + "[1, x]", "f.json"),
              StatusIs(kInvalid, StartsWith("f.json:5001:5: ")));
}

TEST(JsonTest, RefusesWhatIsTooDeepOrTooLarge) {
  EXPECT_THAT(ParseJson("[[[1]]]", "f.json", {.max_depth = 3}), IsOk());
  EXPECT_THAT(ParseJson("[[[[1]]]]", "f.json", {.max_depth = 3}),
              StatusIs(kInvalid, "f.json:1:4: nested deeper than 3 levels"));
  EXPECT_THAT(ParseJson(std::string(100000, '['), "f.json"), StatusIs(kInvalid));
  EXPECT_THAT(
      ParseJson("[1234]", "f.json", {.max_bytes = 5}),
      StatusIs(absl::StatusCode::kResourceExhausted, "f.json: 6 bytes of JSON, the limit is 5"));
}

TEST(JsonTest, RefusesRepeatedKeysOnlyIfAsked) {
  EXPECT_EQ(Parse(R"({"a": 1, "a": 2})").at("a").as_int64(), 2);
  EXPECT_THAT(ParseJson(R"({"a": {"b": 1}, "b": 2})", "f.json", {.unique_keys = true}), IsOk());
  EXPECT_THAT(
      ParseJson("{\"a\": 1,\n\"\\u0061\": 2}", "f.json", {.unique_keys = true}),
      StatusIs(kInvalid, AllOf(StartsWith("f.json:2:"), HasSubstr("the key \"a\" appears twice"))));
}

TEST(JsonTest, ReadsPythonsNonFiniteNumbers) {
  const boost::json::value value = Parse(
      R"({"a": [NaN, Infinity, -Infinity], "b": {"__float__": "-Infinity"}, "NaN": "Infinity \" NaN"})");
  EXPECT_TRUE(std::isnan(value.at("a").at(0).as_double()));
  EXPECT_EQ(value.at("a").at(1).as_double(), HUGE_VAL);
  EXPECT_EQ(value.at("a").at(2).as_double(), -HUGE_VAL);
  EXPECT_EQ(value.at("b").as_double(), -HUGE_VAL);
  EXPECT_EQ(value.at("NaN").as_string(), "Infinity \" NaN");
}

TEST(JsonTest, TakesNonFiniteNumbersOnlyAsValues) {
  EXPECT_THAT(ParseJson("{NaN: 1}", "f.json"), StatusIs(kInvalid, StartsWith("f.json:1:2: ")));
  EXPECT_THAT(ParseJson("[-NaN]", "f.json"), StatusIs(kInvalid));
  EXPECT_THAT(ParseJson("[NaN1]", "f.json"), StatusIs(kInvalid));
  EXPECT_THAT(ParseJson("NaN", "f.json"), IsOk());
}

TEST(JsonTest, FindsTypedValues) {
  const boost::json::value root =
      Parse(R"({"n": 3, "x": 1.5, "s": "t", "b": false, "ids": [1, 2], "null": null,
                "rope": {"factor": 4}, "a/b": 1})");
  EXPECT_THAT(GetJson<int64_t>(root, "/n", "f.json"), IsOkAndHolds(3));
  EXPECT_THAT(GetJson<double>(root, "/n", "f.json"), IsOkAndHolds(3.0));
  EXPECT_THAT(GetJson<double>(root, "/x", "f.json"), IsOkAndHolds(1.5));
  EXPECT_THAT(GetJson<std::string>(root, "/s", "f.json"), IsOkAndHolds("t"));
  EXPECT_THAT(GetJson<bool>(root, "/b", "f.json"), IsOkAndHolds(false));
  EXPECT_THAT(GetJson<std::vector<int64_t>>(root, "/ids", "f.json"),
              IsOkAndHolds(ElementsAre(1, 2)));
  EXPECT_THAT(FindJson<int64_t>(root, "/rope/factor", "f.json"), IsOkAndHolds(Optional(4)));
  EXPECT_THAT(FindJson<int64_t>(root, "/a~1b", "f.json"), IsOkAndHolds(Optional(1)));
  EXPECT_THAT(FindJson<int64_t>(root, "/null", "f.json"), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(FindJson<int64_t>(root, "/none/deeper", "f.json"), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(FindJson<int64_t>(root, "no pointer", "f.json"), IsOkAndHolds(std::nullopt));
  KEEL_ASSERT_OK_AND_ASSIGN(const boost::json::object* rope,
                            GetJson<const boost::json::object*>(root, "/rope", "f.json"));
  EXPECT_EQ(rope->size(), 1u);
}

TEST(JsonTest, WrongTypesSayFieldFoundAndExpected) {
  const boost::json::value root =
      Parse(R"({"rope": {"factor": "four"}, "ids": [1, "a"], "n": 2.5, "big": 18446744073709551615,
                "null": null})");
  EXPECT_THAT(GetJson<double>(root, "/rope/factor", "f.json"),
              StatusIs(kInvalid, "f.json: rope.factor is \"four\" (a string), expected a number"));
  EXPECT_THAT(GetJson<std::vector<int64_t>>(root, "/ids", "f.json"),
              StatusIs(kInvalid, "f.json: ids[1] is \"a\" (a string), expected an integer"));
  EXPECT_THAT(FindJson<int64_t>(root, "/n", "f.json"),
              StatusIs(kInvalid, "f.json: n is 2.5E0 (a number), expected an integer"));
  EXPECT_THAT(GetJson<int64_t>(root, "/big", "f.json"), StatusIs(kInvalid));
  EXPECT_THAT(GetJson<std::string>(root, "/null", "f.json"),
              StatusIs(kInvalid, "f.json: null is null, expected a string"));
  EXPECT_THAT(GetJson<std::string>(root, "/none", "f.json"),
              StatusIs(kInvalid, "f.json: none is missing"));
  EXPECT_THAT(GetJson<bool>(root, "/rope", "f.json"),
              StatusIs(kInvalid, "f.json: rope is {...} (an object), expected true or false"));
}

TEST(JsonTest, SnippetsCutLongStringsBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 30; ++i) text += "\xc3\xa9";
  const std::string snippet = JsonSnippet(boost::json::value(text));
  EXPECT_EQ(snippet, "\"" + text.substr(0, 39) + "\"...");
}

TEST(JsonTest, SurvivesMutatedText) {
  const std::string valid =
      R"({"a": [NaN, -Infinity, 1e5, "\u00e9\n"], "b": {"__float__": "NaN"}, "c": {"d": [[null]]}})";
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string text = valid;
    for (int edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 4);
          break;
        case 2:
          text.insert(at, valid, random() % valid.size(), random() % 12);
          break;
      }
      if (text.empty()) text = "{";
    }
    SCOPED_TRACE(text);
    const JsonLimits limits = {.max_depth = 5, .unique_keys = i % 2 == 0};
    const absl::StatusOr<boost::json::value> value = ParseJson(text, "f", limits);
    if (!value.ok()) {
      EXPECT_THAT(value, StatusIs(kInvalid, StartsWith("f:")));
    }
  }
}

}  // namespace
}  // namespace keel
