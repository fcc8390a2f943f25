#include "core/grammar/grammar_compiler.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/grammar/testing.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "re2/re2.h"

namespace keel {
namespace {

using Kind = GrammarSpec::Kind;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Tokenizers that spell bytes in each of the ways.
class EveryTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  // Some texts of `spec`, each from a copy of one matcher.
  std::vector<std::string> Texts(const GrammarSpec& spec, int count = 12) {
    SCOPED_TRACE(spec.source);
    std::vector<std::string> texts;
    std::mt19937 random(17);
    const auto beginning = compiler_->Compile(spec);
    EXPECT_THAT(beginning, IsOk());
    for (int i = 0; beginning.ok() && i < count; ++i) {
      auto matcher = (*beginning)->Clone();
      EXPECT_THAT(matcher, IsOk());
      const auto text = testing::RandomText(model_, **matcher, random);
      EXPECT_THAT(text, IsOk());
      if (text.ok()) texts.push_back(*text);
    }
    EXPECT_EQ(texts.size(), static_cast<size_t>(count));
    return texts;
  }

  const testing::Model model_ = testing::TestModel(GetParam());
  const std::shared_ptr<GrammarCompiler> compiler_ = testing::TestCompiler(model_);
};

INSTANTIATE_TEST_SUITE_P(Grammar, EveryTokenizer, ::testing::Values("byte_level", "llama2", "qwen"),
                         [](const auto& info) { return info.param; });

boost::json::value Parse(const std::string& text) {
  const auto value = ParseJson(text, "text", {.unique_keys = true});
  EXPECT_THAT(value, IsOk()) << text;
  return value.ok() ? *value : nullptr;
}

constexpr char kPerson[] = R"({"type": "object", "properties": {
  "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0,
  "maximum": 150}, "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3},
  "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["name", "age"],
  "additionalProperties": false})";

TEST_P(EveryTokenizer, TextsOfASchemaFollowIt) {
  for (const std::string& text : Texts({.kind = Kind::kJsonSchema, .source = kPerson})) {
    SCOPED_TRACE(text);
    const boost::json::value value = Parse(text);
    ASSERT_TRUE(value.is_object());
    const boost::json::object& person = value.get_object();
    EXPECT_TRUE(person.at("name").is_string());
    ASSERT_TRUE(person.at("age").is_int64());
    EXPECT_GE(person.at("age").get_int64(), 0);
    EXPECT_LE(person.at("age").get_int64(), 150);
    const std::set<std::string> known = {"name", "age", "tags", "zip"};
    for (const auto& [key, member] : person) EXPECT_EQ(known.count(std::string(key)), 1u);
    if (const boost::json::value* tags = person.if_contains("tags")) {
      ASSERT_TRUE(tags->is_array());
      EXPECT_LE(tags->get_array().size(), 3u);
      for (const boost::json::value& tag : tags->get_array()) {
        EXPECT_TRUE(tag == "red" || tag == "green");
      }
    }
    if (const boost::json::value* zip = person.if_contains("zip")) {
      EXPECT_TRUE(RE2::FullMatch(std::string(zip->get_string()), "[0-9]{5}"));
    }
  }
}

TEST_P(EveryTokenizer, TextsOfAnObjectAreObjects) {
  for (const std::string& text : Texts({.kind = Kind::kJsonObject})) {
    EXPECT_TRUE(Parse(text).is_object()) << text;
  }
}

TEST_P(EveryTokenizer, ASchemaMayReferToItself) {
  const std::string tree = R"({"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties":
      {"v": {"type": "boolean"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/t"},
      "maxItems": 2}}, "required": ["v"], "additionalProperties": false}}})";
  for (const std::string& text : Texts({.kind = Kind::kJsonSchema, .source = tree})) {
    EXPECT_TRUE(Parse(text).at("v").is_bool()) << text;
  }
}

TEST_P(EveryTokenizer, TextsOfARegexMatchItFromEndToEnd) {
  for (const std::string regex : {R"([0-9]{3}-[0-9]{4})", R"(^[a-c]+(,[a-c]+){0,3}$)", "(yes|no|y)",
                                  "[^a]b?", "a|b|ab|", R"(https?://[a-z]{1,8}\.(com|org)/?)"}) {
    for (const std::string& text : Texts({.kind = Kind::kRegex, .source = regex})) {
      EXPECT_TRUE(RE2::FullMatch(text, absl::StrCat("(?s)", regex))) << regex << ": " << text;
    }
  }
}

TEST_P(EveryTokenizer, AChoiceIsOneOfItsStringsAndEachCanCome) {
  boost::json::array choices = {"a", "ab", "say \"hi\"", "back\\slash", "/x/"};
  for (const char* text :
       {"line\nbreak\t", "\u00e9t\u00e9", "\u6c49\u5b57", "\U0001F600", "\u007f"}) {
    choices.emplace_back(text);
  }
  std::set<std::string> expected;
  for (const auto& choice : choices) expected.emplace(choice.get_string());
  std::set<std::string> found;
  for (const std::string& text :
       Texts({.kind = Kind::kChoice, .source = boost::json::serialize(choices)}, 150)) {
    found.insert(text);
  }
  EXPECT_EQ(found, expected);
}

TEST_P(EveryTokenizer, EnumsMayHoldAnyCharacter) {
  const std::set<std::string> values = {"\u00e9", "\u6c49\u5b57", "\U0001F600\u200d", "a\nb"};
  boost::json::array array(values.begin(), values.end());
  const boost::json::object schema = {{"enum", array}};
  for (const std::string& text :
       Texts({.kind = Kind::kJsonSchema, .source = boost::json::serialize(schema)}, 30)) {
    EXPECT_EQ(values.count(std::string(Parse(text).as_string())), 1u) << text;
  }
}

constexpr char kLark[] = R"(start: greeting ", " NAME "!"
greeting: "hello" | "bye"
NAME: /[A-C][a-c]{1,4}/
)";
constexpr char kJsonEbnf[] = R"(root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,1})? ws
ws ::= | " " | "\n" [ \t]{0,3}
)";

TEST_P(EveryTokenizer, TextsOfAGrammarFollowIt) {
  for (const std::string& text : Texts({.kind = Kind::kGrammar, .source = kLark})) {
    EXPECT_TRUE(RE2::FullMatch(text, "(hello|bye), [A-C][a-c]{1,4}!")) << text;
  }
  for (const std::string& text : Texts({.kind = Kind::kGrammar, .source = kJsonEbnf}, 6)) {
    // A lone half of a surrogate pair is no text, though the grammar has it.
    if (RE2::PartialMatch(text, R"(\\u[dD][89a-fA-F])")) continue;
    const auto value = ParseJson(text, "text");
    EXPECT_THAT(value, IsOk()) << text;
  }
}

class GrammarCompilerTest : public ::testing::Test {
 protected:
  absl::Status StatusOf(const GrammarSpec& spec) { return compiler_->Compile(spec).status(); }
  absl::Status StatusOf(Kind kind, const std::string& source) {
    return StatusOf({.kind = kind, .source = source});
  }

  std::unique_ptr<GrammarMatcher> Matcher(const GrammarSpec& spec) {
    auto matcher = compiler_->Compile(spec);
    EXPECT_THAT(matcher, IsOk());
    return matcher.ok() ? *std::move(matcher) : nullptr;
  }

  bool Accepts(const GrammarSpec& spec, absl::string_view text) {
    const auto matcher = Matcher(spec);
    return matcher != nullptr && testing::Accepts(model_, *matcher, text);
  }

  int32_t Id(absl::string_view token) { return model_.tokenizer->TokenToId(token).value(); }

  const testing::Model model_ = testing::TestModel("byte_level");
  const std::shared_ptr<GrammarCompiler> compiler_ = testing::TestCompiler(model_);
};

// Its vocabulary is that of some prose.
TEST(UnigramTest, TextsOfARegexMatchIt) {
  const testing::Model model = testing::TestModel("unigram");
  const auto matcher =
      testing::TestCompiler(model)->Compile({.kind = Kind::kRegex, .source = "[a-z]+( [a-z]+){3}"});
  ASSERT_THAT(matcher, IsOk());
  std::mt19937 random(1);
  for (int i = 0; i < 5; ++i) {
    const auto copy = (*matcher)->Clone();
    ASSERT_THAT(copy, IsOk());
    const auto text = testing::RandomText(model, **copy, random);
    ASSERT_THAT(text, IsOk());
    EXPECT_TRUE(RE2::FullMatch(*text, "[a-z]+( [a-z]+){3}")) << *text;
  }
}

TEST_F(GrammarCompilerTest, OnlyAnEndMayFollowTheEnd) {
  const auto matcher = Matcher({.kind = Kind::kRegex, .source = "ab?"});
  EXPECT_FALSE(matcher->IsAccepting());
  EXPECT_THAT(testing::Allowed(model_, *matcher),
              testing::IsOkAndHolds(::testing::Not(::testing::Contains(model_.eos))));
  ASSERT_THAT(matcher->Consume(Id("a")), IsOk());
  EXPECT_TRUE(matcher->IsAccepting());
  EXPECT_FALSE(matcher->IsStopped());
  EXPECT_THAT(testing::Allowed(model_, *matcher),
              testing::IsOkAndHolds(::testing::UnorderedElementsAre(Id("b"), model_.eos)));
  ASSERT_THAT(matcher->Consume(Id("b")), IsOk());
  EXPECT_TRUE(matcher->IsAccepting());
  EXPECT_TRUE(matcher->IsStopped());
  EXPECT_THAT(testing::Allowed(model_, *matcher), testing::IsOkAndHolds(ElementsAre(model_.eos)));
}

TEST_F(GrammarCompilerTest, AnEndBeforeTheGrammarsEndStopsTheMatcher) {
  const auto matcher = Matcher({.kind = Kind::kRegex, .source = "a+"});
  ASSERT_THAT(matcher->Consume(Id("a")), IsOk());
  ASSERT_THAT(matcher->Consume(model_.eos), IsOk());
  EXPECT_TRUE(matcher->IsStopped());
  EXPECT_THAT(testing::Allowed(model_, *matcher), testing::IsOkAndHolds(ElementsAre(model_.eos)));
}

TEST_F(GrammarCompilerTest, AnErrorIsThatOfOneSequence) {
  const auto matcher = Matcher({.kind = Kind::kRegex, .source = "a+"});
  const auto copy = matcher->Clone();
  EXPECT_THAT(matcher->Consume(Id("b")), StatusIs(kInvalid));
  EXPECT_THAT(testing::Allowed(model_, *matcher), StatusIs(kInvalid));
  EXPECT_THAT(matcher->Consume(-1), StatusIs(kInvalid));
  EXPECT_THAT(matcher->Consume(1 << 30), StatusIs(kInvalid));
  ASSERT_THAT(copy, IsOk());
  EXPECT_THAT((*copy)->Consume(Id("a")), IsOk());
  std::vector<uint32_t> wrong(3);
  EXPECT_THAT((*copy)->FillMask(absl::MakeSpan(wrong)), StatusIs(kInvalid, HasSubstr("3 words")));
  EXPECT_THAT(StatusOf(Kind::kRegex, "a+"), IsOk());
}

TEST_F(GrammarCompilerTest, CopiesGoTheirOwnWay) {
  const auto matcher = Matcher({.kind = Kind::kRegex, .source = "a(bc|cb)"});
  ASSERT_THAT(matcher->Consume(Id("a")), IsOk());
  const auto copy = matcher->Clone();
  ASSERT_THAT(copy, IsOk());
  ASSERT_THAT(matcher->Consume(Id("b")), IsOk());
  ASSERT_THAT((*copy)->Consume(Id("c")), IsOk());
  EXPECT_THAT(testing::Allowed(model_, *matcher), testing::IsOkAndHolds(ElementsAre(Id("c"))));
  EXPECT_THAT(testing::Allowed(model_, **copy), testing::IsOkAndHolds(ElementsAre(Id("b"))));
}

TEST_F(GrammarCompilerTest, WhatEndsAGenerationIsNeverText) {
  // "</tool>" is an ordinary added token, whose text a string may hold.
  const int32_t tool = Id("</tool>");
  const auto compiler = GrammarCompiler::Create(model_.tokenizer, model_.vocab_size, {tool});
  const auto matcher = compiler->Compile({.kind = Kind::kRegex, .source = "</tool>.+"});
  ASSERT_THAT(matcher, IsOk());
  EXPECT_THAT(testing::Allowed(model_, **matcher),
              testing::IsOkAndHolds(::testing::Not(::testing::Contains(tool))));
}

TEST_F(GrammarCompilerTest, WhitespaceIsAsTheOptionsSay) {
  const GrammarSpec spec = {.kind = Kind::kJsonSchema,
                            .source = R"({"type": "array", "items": {"const": 1}})"};
  EXPECT_TRUE(Accepts(spec, "[1, \n1]"));
  GrammarSpec none = spec;
  none.disable_any_whitespace = true;
  EXPECT_TRUE(Accepts(none, "[1,1]"));
  EXPECT_FALSE(Accepts(none, "[1, 1]"));
  GrammarSpec one = spec;
  one.whitespace_pattern = " ";
  EXPECT_TRUE(Accepts(one, "[1, 1]"));
  EXPECT_FALSE(Accepts(one, "[1,\n1]"));
  EXPECT_FALSE(Accepts(one, "[1,  1]"));
}

TEST_F(GrammarCompilerTest, AdditionalPropertiesAreAsTheOptionsSay) {
  GrammarSpec spec = {.kind = Kind::kJsonSchema, .source = R"({"type": "object", "properties":
      {"properties": {"type": "object", "properties": {"a": {"type": "null"}}}}})"};
  EXPECT_TRUE(Accepts(spec, R"({"properties":{"a":null,"b":1}})"));
  spec.disable_additional_properties = true;
  EXPECT_TRUE(Accepts(spec, R"({"properties":{"a":null}})"));
  EXPECT_FALSE(Accepts(spec, R"({"properties":{"a":null,"b":1}})"));
  EXPECT_FALSE(Accepts(spec, R"({"b":1})"));
}

TEST_F(GrammarCompilerTest, SaysWhatIsWrong) {
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, "{"), StatusIs(kInvalid, HasSubstr("schema:1:2: ")));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, "{\"type\": \"\xff\"}"), StatusIs(kInvalid));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"type": "strin"})"),
              StatusIs(kInvalid, HasSubstr("strin")));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"type": "array", "uniqueItems": true})"),
              StatusIs(kInvalid, HasSubstr("uniqueItems")));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"$ref": "https://example.org/s.json"})"),
              StatusIs(kInvalid, HasSubstr("https://example.org/s.json")));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"$ref": "#"})"),
              StatusIs(kInvalid, "at its beginning: no text can follow"));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"enum": []})"), StatusIs(kInvalid));
  EXPECT_THAT(StatusOf(Kind::kRegex, "a("), StatusIs(kInvalid, HasSubstr("unclosed group")));
  EXPECT_THAT(StatusOf(Kind::kRegex, "(?=a)b"), StatusIs(kInvalid, HasSubstr("look-around")));
  EXPECT_THAT(StatusOf(Kind::kRegex, R"((a)\1)"), StatusIs(kInvalid, HasSubstr("backreference")));
  EXPECT_THAT(StatusOf(Kind::kRegex, "a\\"), StatusIs(kInvalid, HasSubstr("lone backslash")));
  EXPECT_THAT(StatusOf(Kind::kRegex, "a\xff"), StatusIs(kInvalid, HasSubstr("UTF-8 (byte 1)")));
  EXPECT_THAT(StatusOf(Kind::kChoice, R"(["a", 1])"),
              StatusIs(kInvalid, "found 1, expected a string"));
  EXPECT_THAT(StatusOf(Kind::kChoice, "[]"), StatusIs(kInvalid, HasSubstr("at least one")));
  EXPECT_THAT(StatusOf(Kind::kGrammar, "start: nothing"), StatusIs(kInvalid, HasSubstr("nothing")));
  EXPECT_THAT(StatusOf(Kind::kGrammar, "start: start \"a\""), StatusIs(kInvalid));
  EXPECT_THAT(StatusOf(Kind::kGrammar, "root ::= root \"a\""),
              StatusIs(kInvalid, HasSubstr("never ends")));
  EXPECT_THAT(StatusOf(Kind::kGrammar, ""), StatusIs(kInvalid));
}

TEST_F(GrammarCompilerTest, KnowsTheWholeTextsOfARegex) {
  const GrammarSpec nul = {.kind = Kind::kRegex, .source = std::string("a\0b", 3)};
  EXPECT_THAT(StatusOf(nul), IsOk());
  EXPECT_TRUE(Accepts({.kind = Kind::kRegex, .source = "^a/b$"}, "a/b"));
  EXPECT_TRUE(Accepts({.kind = Kind::kRegex, .source = ""}, ""));
  EXPECT_TRUE(Accepts({.kind = Kind::kRegex, .source = "a\\$"}, "a$"));
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) absl::StrAppend(&all, text);
  return all;
}

// Each comes back, and the process lives: whether it is refused or works is llguidance's business.
TEST_F(GrammarCompilerTest, SurvivesHostileGrammars) {
  std::vector<std::string> many;
  for (int i = 0; i < 40000; ++i) many.push_back(absl::StrCat("\"s", i * 7919, "\""));
  std::string chain = R"({"$ref": "#/$defs/a0", "$defs": {)";
  std::string rules = "start: r0\n";
  std::string tokens = "start: R0\n";
  for (int i = 0; i < 900; ++i) {
    absl::StrAppend(&chain, "\"a", i, R"(": {"type": "array", "items": {"$ref": "#/$defs/a)", i + 1,
                    "\"}},");
    absl::StrAppend(&rules, "r", i, ": \"(\" r", i + 1, " \")\"\n");
    absl::StrAppend(&tokens, "R", i, ": (\"a\" R", i + 1, " | \"b\")*\n");
  }
  absl::StrAppend(&chain, R"("a900": {"type": "null"}}})");
  const std::vector<GrammarSpec> specs = {
      {.kind = Kind::kRegex, .source = "(a{1000}){1000}"},
      {.kind = Kind::kRegex, .source = "(a|a|aa|aaa)*(a|aa)*b(a|b)*c.*d.*e.*f"},
      {.kind = Kind::kRegex, .source = "(.*a.{0,30}b.*){5}"},
      {.kind = Kind::kRegex, .source = R"((\p{L}|\w){1,1000}(\p{Lu}\p{Ll}+ ){1,200})"},
      {.kind = Kind::kRegex, .source = std::string(16000, '(')},
      {.kind = Kind::kRegex, .source = "a" + std::string(2000, '*')},
      {.kind = Kind::kJsonSchema, .source = std::string(100000, '[')},
      {.kind = Kind::kJsonSchema, .source = Repeat(R"({"items":)", 90) + "{}" + Repeat("}", 90)},
      {.kind = Kind::kJsonSchema,
       .source = Repeat(R"({"items":)", 9000) + "{}" + Repeat("}", 9000)},
      {.kind = Kind::kJsonSchema,
       .source = absl::StrCat(R"({"enum": [)", absl::StrJoin(many, ","), "]}")},
      {.kind = Kind::kJsonSchema, .source = chain},
      {.kind = Kind::kJsonSchema, .source = R"({"type": "integer", "multipleOf": 9973})"},
      {.kind = Kind::kJsonSchema, .source = R"({"type": "array", "minItems": 1000000})"},
      {.kind = Kind::kChoice, .source = absl::StrCat("[", absl::StrJoin(many, ","), "]")},
      {.kind = Kind::kGrammar, .source = rules + "r900: \"x\"\n"},
      {.kind = Kind::kGrammar, .source = tokens + "R900: \"x\"\n"},
      {.kind = Kind::kGrammar, .source = "start: " + std::string(100000, '(')},
      {.kind = Kind::kGrammar, .source = "root ::= root root | \"a\" | \"\""},
      {.kind = Kind::kGrammar, .source = "root ::= (\"a\" root?){1,100000}"},
      {.kind = Kind::kGrammar, .source = "root ::= " + Repeat("\"a\"? ", 4000)},
  };
  std::mt19937 random(5);
  for (const GrammarSpec& spec : specs) {
    SCOPED_TRACE(spec.source.substr(0, 60));
    const absl::Time start = absl::Now();
    auto matcher = compiler_->Compile(spec);
    if (matcher.ok()) {
      for (int i = 0; i < 20 && !(*matcher)->IsStopped(); ++i) {
        const auto allowed = testing::Allowed(model_, **matcher);
        if (!allowed.ok()) break;
        if (!(*matcher)->Consume((*allowed)[random() % allowed->size()]).ok()) break;
      }
    } else {
      EXPECT_THAT(matcher, StatusIs(kInvalid));
    }
    // Generous: the machine may be busy. What it usually takes is far below.
    EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  }
}

TEST_F(GrammarCompilerTest, RefusesWhatExceedsItsLimits) {
  EXPECT_THAT(StatusOf(Kind::kRegex, std::string((1 << 20) + 1, 'a')),
              StatusIs(kInvalid, "it has 1048577 bytes, at most 1048576 are taken"));
  EXPECT_THAT(StatusOf(Kind::kRegex, Repeat("a?", 20000)),
              StatusIs(kInvalid, "the regex has 40000 bytes, at most 16384 are taken"));
  EXPECT_THAT(StatusOf(Kind::kJsonSchema, R"({"items": {"multipleOf": 1000003}})"),
              StatusIs(kInvalid, "multipleOf is 1000003, at most 10000"));
  EXPECT_THAT(StatusOf(Kind::kRegex, std::string(100, '(')),
              StatusIs(kInvalid, "brackets are nested deeper than 64"));
  EXPECT_THAT(StatusOf(Kind::kGrammar, "start: a\n" + Repeat("a: b\n", 6000)),
              StatusIs(kInvalid, "there are more than 2000 rules"));
  const auto small = testing::TestCompiler(model_, {.compile_fuel = 100});
  EXPECT_THAT(small->Compile({.kind = Kind::kJsonSchema, .source = kPerson}),
              StatusIs(kInvalid, HasSubstr("too big")));
}

TEST_F(GrammarCompilerTest, WaitsNoLongerThanItsTime) {
  const auto hasty = testing::TestCompiler(model_, {.compile_time = absl::Milliseconds(1)});
  std::vector<std::string> many;
  for (int i = 0; i < 20000; ++i) many.push_back(absl::StrCat("\"s", i * 7919, "\""));
  EXPECT_THAT(hasty->Compile({.kind = Kind::kChoice,
                              .source = absl::StrCat("[", absl::StrJoin(many, ","), "]")}),
              StatusIs(kInvalid, HasSubstr("compiling takes longer than 1 ms")));
}

TEST_F(GrammarCompilerTest, AStepBeyondTheLimitsIsAnErrorOfThatSequence) {
  const auto small = testing::TestCompiler(model_, {.mask_items = 200});
  const auto matcher = small->Compile(
      {.kind = Kind::kGrammar, .source = "start: a\na: a a | \"x\" | \"y\" | \"xy\""});
  absl::Status status = matcher.status();
  for (int i = 0; i < 200 && status.ok(); ++i) {
    std::vector<uint32_t> mask((*matcher)->mask_words());
    status = (*matcher)->FillMask(absl::MakeSpan(mask));
    if (status.ok()) status = (*matcher)->Consume(Id("x"));
  }
  EXPECT_THAT(status, StatusIs(kInvalid));
}

TEST_F(GrammarCompilerTest, RefusesTokenizersWithoutBytes) {
  const auto tokenizer = testing::TestTokenizer("wordpiece");
  const auto compiler = GrammarCompiler::Create(tokenizer, tokenizer->vocab_size(), {3});
  EXPECT_THAT(compiler->Compile({.kind = Kind::kJsonObject}),
              StatusIs(kInvalid, HasSubstr("WordPiece")));
}

TEST_F(GrammarCompilerTest, ATokenWithoutARowIsNeverAllowed) {
  const int64_t rows = model_.tokenizer->vocab_size() - 2;
  const auto compiler = GrammarCompiler::Create(model_.tokenizer, rows, {Id("a"), 99999});
  const auto matcher = compiler->Compile({.kind = Kind::kRegex, .source = "[b-z<>|]+"});
  ASSERT_THAT(matcher, IsOk());
  std::vector<uint32_t> mask((*matcher)->mask_words());
  EXPECT_EQ(mask.size(), static_cast<size_t>((rows + 31) / 32));
  ASSERT_THAT((*matcher)->FillMask(absl::MakeSpan(mask)), IsOk());
  for (size_t id = rows; id < mask.size() * 32; ++id) {
    EXPECT_EQ(mask[id / 32] >> (id % 32) & 1, 0u) << id;
  }
}

TEST_F(GrammarCompilerTest, EndTokensThatTheModelLacksAreDropped) {
  const GrammarSpec spec = {.kind = Kind::kRegex, .source = "x"};
  const int64_t rows = model_.vocab_size;
  const auto some =
      GrammarCompiler::Create(model_.tokenizer, rows, {-1, static_cast<int32_t>(rows), model_.eos});
  EXPECT_THAT(some->Compile(spec), IsOk());
  const std::vector<std::vector<int32_t>> nothing = {{}, {-1}, {static_cast<int32_t>(rows)}};
  for (const std::vector<int32_t>& eos : nothing) {
    EXPECT_THAT(GrammarCompiler::Create(model_.tokenizer, rows, eos)->Compile(spec),
                StatusIs(kInvalid, HasSubstr("names no token of its own that ends a text")));
  }
}

TEST_F(GrammarCompilerTest, KeepsAsManyAsTheLimitsSay) {
  const auto compiler = testing::TestCompiler(model_, {.cached_grammars = 2});
  for (int round = 0; round < 3; ++round) {
    for (const char* regex : {"a+", "b+", "c+", "("}) {
      EXPECT_EQ(compiler->Compile({.kind = Kind::kRegex, .source = regex}).ok(), *regex != '(');
    }
  }
  const auto none = testing::TestCompiler(model_, {.cached_grammars = 0});
  EXPECT_THAT(none->Compile({.kind = Kind::kRegex, .source = "a+"}), IsOk());
}

TEST_F(GrammarCompilerTest, ThreadsCompileTheSameAndOthersAtOnce) {
  const auto compiler = testing::TestCompiler(model_, {.cached_grammars = 3});
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 12; ++i) {
        const std::string letter(1, static_cast<char>('a' + (i % 2 == 0 ? i / 2 : t)));
        const auto matcher =
            compiler->Compile({.kind = Kind::kRegex, .source = absl::StrCat(letter, "{1,20}")});
        ASSERT_THAT(matcher, IsOk());
        EXPECT_TRUE(testing::Accepts(model_, **matcher, letter + letter));
        EXPECT_THAT(compiler->Compile({.kind = Kind::kRegex, .source = "("}), StatusIs(kInvalid));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GrammarCompilerTest, MatchersOutliveTheirCompiler) {
  auto compiler = testing::TestCompiler(model_);
  const auto matcher = compiler->Compile({.kind = Kind::kRegex, .source = "a+"});
  ASSERT_THAT(matcher, IsOk());
  compiler.reset();
  EXPECT_TRUE(testing::Accepts(model_, **matcher, "aaa"));
}

std::string Mutated(const std::string& valid, std::mt19937& random) {
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
  return text;
}

TEST_F(GrammarCompilerTest, SurvivesMutatedSources) {
  const std::vector<GrammarSpec> corpus = {
      {.kind = Kind::kJsonSchema, .source = kPerson},
      {.kind = Kind::kJsonSchema,
       .source = R"({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "number", "multipleOf": 0.5}],
                   "$defs": {"a": {"type": "array", "prefixItems": [{"const": [1, null]}],
                   "items": {"type": "string", "format": "date-time"}, "minItems": 2}}})"},
      {.kind = Kind::kRegex, .source = R"((?i:[a-z&&[^q]]+|\d{2,5}?)(\.\w+)*\s\x{41}\\/)"},
      {.kind = Kind::kChoice, .source = R"(["a\n", "\u00e9\"", "b\\"])"},
      {.kind = Kind::kGrammar, .source = kLark},
      {.kind = Kind::kGrammar, .source = kJsonEbnf},
      {.kind = Kind::kGrammar,
       .source =
           "start[capture]: A~1..3 b? %json {\"type\": \"null\"}\nA: \"a\"i | /x+/ & ~\"xx\"\n"
           "b: <|eot_id|> | %regex {\"substring_chars\": \"abc\"}\n%ignore / /\n"},
  };
  std::mt19937 random(11);
  for (int i = 0; i < 700; ++i) {
    GrammarSpec spec = corpus[i % corpus.size()];
    spec.source = Mutated(spec.source, random);
    SCOPED_TRACE(absl::StrCat("mutation ", i, ": ", spec.source));
    const auto matcher = compiler_->Compile(spec);
    if (!matcher.ok()) {
      EXPECT_THAT(matcher, StatusIs(kInvalid));
      EXPECT_NE(matcher.status().message(), "");
      continue;
    }
    for (int step = 0; step < 5 && !(*matcher)->IsStopped(); ++step) {
      const auto allowed = testing::Allowed(model_, **matcher);
      if (!allowed.ok()) break;
      ASSERT_FALSE(allowed->empty());
      ASSERT_THAT((*matcher)->Consume((*allowed)[random() % allowed->size()]), IsOk());
    }
  }
}

}  // namespace
}  // namespace keel
