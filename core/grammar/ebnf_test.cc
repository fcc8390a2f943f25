#include "core/grammar/ebnf.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/grammar/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class EbnfTest : public ::testing::Test {
 protected:
  void Expect(const std::string& source, const std::vector<std::string>& texts,
              const std::vector<std::string>& others) {
    SCOPED_TRACE(absl::StrCat(source, "\n", EbnfToLark(source).value_or("no Lark")));
    const auto matcher =
        compiler_->Compile({.kind = GrammarSpec::Kind::kGrammar, .source = source});
    ASSERT_THAT(matcher, IsOk());
    for (const std::string& text : texts) {
      EXPECT_TRUE(testing::Accepts(model_, **matcher, text)) << "refuses " << text;
    }
    for (const std::string& text : others) {
      EXPECT_FALSE(testing::Accepts(model_, **matcher, text)) << "accepts " << text;
    }
  }

  const testing::Model model_ = testing::TestModel("byte_level");
  const std::shared_ptr<GrammarCompiler> compiler_ = testing::TestCompiler(model_);
};

TEST_F(EbnfTest, IsToldFromLark) {
  EXPECT_TRUE(IsEbnf("root ::= \"a\""));
  EXPECT_TRUE(IsEbnf("# a comment\n\n  my-rule\n::= x"));
  EXPECT_FALSE(IsEbnf("start: \"::=\""));
  EXPECT_FALSE(IsEbnf("// x ::= y\nstart: A"));
  EXPECT_FALSE(IsEbnf(""));
}

TEST_F(EbnfTest, TakesLiteralsClassesGroupsAndRepetitions) {
  Expect("root ::= \"a\" 'b' | [0-9]{2} | [^a-z\\n]{3,} | (\"x\" \"y\")* \"z\"? \"q\"+",
         {"ab", "12", "A-B", "A-BC", "xyq", "xyxyzq", "q", "zqq"},
         {"a", "b", "1", "A-b", "xq", "xy", "zz", ""});
  Expect("root ::= \"a\"{2,3} \"b\"{0,1} \"c\"{0} .", {"aax", "aaabx", "aa\n"},
         {"ax", "aacx", "aa"});
  Expect("root ::= \"\\\"\\\\\\n\\x41\\u0042\" [\\]\\-\\x43]",
         {"\"\\\nAB]", "\"\\\nAB-", "\"\\\nABC"}, {"\"\\\nABx"});
  Expect("root ::= (\"a\"?)* \"b\"", {"b", "aab"}, {"a"});
}

TEST_F(EbnfTest, RulesGoOnOverLinesAndMayBeEmpty) {
  Expect("# head\nroot ::= a\n  b # and more\n | \"c\"\na ::= | \"x\" \nb ::= \"y\"\n",
         {"y", "xy", "c"}, {"x", "", "xc"});
}

TEST_F(EbnfTest, TheFirstRuleIsTheRootUnlessOneHasThatName) {
  Expect("a ::= b \"1\"\nb ::= \"2\"", {"21"}, {"1", "2"});
  Expect("a ::= \"1\"\nroot ::= a a", {"11"}, {"1"});
}

TEST_F(EbnfTest, RecursionMayBeLeftOrRightOrInTheMiddle) {
  Expect("root ::= root \"a\" | \"b\"", {"b", "ba", "baaa"}, {"a", "ab"});
  Expect("root ::= \"a\" root | \"b\"", {"b", "ab", "aab"}, {"a", "ba"});
  Expect("root ::= \"(\" root \")\" | \"x\"", {"x", "((x))"}, {"(x", "x)"});
}

// What follows a repetition may be more of it: a greedy lexer would never come to an end.
TEST_F(EbnfTest, GreedIsNoPartOfTheLanguage) {
  Expect("root ::= \"(\" root \")\" | [a-z]+ \"x\"", {"ax", "abxx", "(xx)"}, {"x", "ab", "(a)"});
  Expect("root ::= \"<\" root \">\" | \"a\" \"b\" \"x\" | \"ab\" \"y\"", {"abx", "aby", "<aby>"},
         {"ab", "abxy"});
  Expect("root ::= \"<\" root \">\" | word \" if\" | \"if\" word\nword ::= [a-z]+ \" \"?",
         {"a if", "a  if", "ifa", "ififf ", "if if", "<if if>"}, {"if", "a", "a if "});
  Expect(
      "root ::= n | \"-\" root\nn ::= [0-9]+ \".\" | [0-9]+ \".\" [0-9]+ \"e\" | [0-9]+ [0-9] "
      "\"f\"",
      {"1.", "12.", "1.5e", "12f", "--123f"}, {"1f", "1.5", "1"});
  Expect("root ::= \"(\" root \")\" | \"a\"* \"a\" \"a\" | \"aaaa\" \"b\"",
         {"aa", "aaa", "aaaa", "aaaab", "(aaaaa)"}, {"a", "aaab", "aaaaab"});
}

TEST_F(EbnfTest, KnowsCharactersOfSeveralBytes) {
  const testing::Model& m = model_;
  const auto matcher = compiler_->Compile(
      {.kind = GrammarSpec::Kind::kGrammar,
       .source =
           "root ::= \"(\" root \")\" | [\u00e0-\u00ff]+ | \"\u6c49\u5b57\" | \"\\U0001F600\""});
  ASSERT_THAT(matcher, IsOk());
  std::mt19937 random(3);
  for (int i = 0; i < 20; ++i) {
    auto copy = (*matcher)->Clone();
    ASSERT_THAT(copy, IsOk());
    const auto text = testing::RandomText(m, **copy, random);
    ASSERT_THAT(text, IsOk());
    EXPECT_EQ(text->find("\xef\xbf\xbd"), std::string::npos) << *text;
  }
}

TEST_F(EbnfTest, SaysWhereItIsWrong) {
  EXPECT_THAT(EbnfToLark("root ::= \"a\n"),
              StatusIs(kInvalid,
                       "line 1: found the end of the line, expected the quote that ends "
                       "the literal"));
  EXPECT_THAT(EbnfToLark("root ::= a\nb ::= \"c\""),
              StatusIs(kInvalid, "line 1: there is no rule 'a'"));
  EXPECT_THAT(EbnfToLark("a ::= \"x\"\n\na ::= \"y\""),
              StatusIs(kInvalid, "line 3: there is a rule 'a' already"));
  EXPECT_THAT(EbnfToLark("root ::= \"a\" )"),
              StatusIs(kInvalid, "line 1: found ')', expected a rule or the end"));
  EXPECT_THAT(EbnfToLark("root ::= (\"a\"\n | \"b\""),
              StatusIs(kInvalid, HasSubstr("line 2: found the end of the text, expected ')'")));
  EXPECT_THAT(EbnfToLark("root ::= \"a\"\n<|x|>"),
              StatusIs(kInvalid, HasSubstr("line 2: found '<|x|>'")));
  EXPECT_THAT(EbnfToLark("root ::= \"\\q\""), StatusIs(kInvalid, HasSubstr("expected one of")));
  EXPECT_THAT(EbnfToLark("root ::= [z-a]"), StatusIs(kInvalid, HasSubstr("ends before it begins")));
  EXPECT_THAT(EbnfToLark("root ::= \"a\"{3,2}"),
              StatusIs(kInvalid, HasSubstr("ends before it begins")));
  EXPECT_THAT(EbnfToLark("root ::= \"a\"{1000000}"), StatusIs(kInvalid, HasSubstr("at most")));
  EXPECT_THAT(EbnfToLark("root ::= a\na ::= b \"x\"\nb ::= a | a b"),
              StatusIs(kInvalid, HasSubstr("rule 'root' never ends")));
  EXPECT_THAT(EbnfToLark(absl::StrCat("root ::= ", std::string(100000, '('))),
              StatusIs(kInvalid, HasSubstr("nested deeper than")));
  EXPECT_THAT(EbnfToLark("root ::= \"\xff\""), StatusIs(kInvalid, HasSubstr("UTF-8")));
}

}  // namespace
}  // namespace keel
