// Structured output through requests: what a grammar allows, and nothing else, is said.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <regex>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr char kSchema[] = R"({
  "type": "object",
  "properties": {
    "name": {"type": "string", "maxLength": 6},
    "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "tags": {"type": "array", "items": {"enum": ["x", "yy"]}, "minItems": 1, "maxItems": 3}
  },
  "required": ["name", "age", "tags"],
  "additionalProperties": false
})";
constexpr char kRegex[] = "(cat|dog)s? [0-9]{2,4}";
constexpr char kChoice[] = R"(["red", "green", "a little blue"])";
constexpr char kEbnf[] = R"(root ::= sum "."
sum ::= number ("+" number){1,3}
number ::= "0" | [1-9] [0-9]?
)";
constexpr char kLark[] = "start: word (\" \" word)~2\nword: /[a-d]{1,3}/\n";

// A request with a grammar, and how to tell that a text is of it.
struct Structure {
  const char* name;
  std::string source;
  bool (*holds)(const std::string& text);
};

bool IsOfSchema(const std::string& text) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object() || value.as_object().size() != 3) return false;
  const boost::json::object& object = value.as_object();
  if (!object.at("name").is_string() || !object.at("age").is_int64()) return false;
  const int64_t age = object.at("age").as_int64();
  if (age < 0 || age > 150 || !object.at("tags").is_array()) return false;
  const boost::json::array& tags = object.at("tags").as_array();
  for (const boost::json::value& tag : tags) {
    if (tag != "x" && tag != "yy") return false;
  }
  return !tags.empty() && tags.size() <= 3;
}

const std::vector<Structure>& Structures() {
  static const auto* const kAll = new std::vector<Structure>{
      {"structured_json", kSchema, IsOfSchema},
      {"structured_regex", kRegex,
       [](const std::string& text) { return std::regex_match(text, std::regex(kRegex)); }},
      {"structured_choice", kChoice,
       [](const std::string& text) {
         return text == "red" || text == "green" || text == "a little blue";
       }},
      {"structured_grammar", kEbnf,
       [](const std::string& text) {
         return std::regex_match(text, std::regex("(0|[1-9][0-9]?)(\\+(0|[1-9][0-9]?)){1,3}\\."));
       }},
      {"structured_grammar", kLark,
       [](const std::string& text) {
         return std::regex_match(text, std::regex("[a-d]{1,3}( [a-d]{1,3}){2}"));
       }},
  };
  return *kAll;
}

Asked Structured(const Structure& structure, int seed) {
  Asked out(Prompt(seed, 8 + seed % 30), 160);
  out.Int("ignore_eos", 0).String(structure.name, structure.source).Draws(seed, 1.2);
  return out.Int("structured_disable_any_whitespace", 1);
}

TEST(StructuredTest, EverySequenceIsOfTheGrammar) {
  const std::unique_ptr<Engine> engine = StartEngine();
  for (const Structure& structure : Structures()) {
    for (const int stream : {0, 1}) {
      for (int seed = 0; seed < 3; ++seed) {
        const Answer answer =
            Ask(*engine, Structured(structure, seed).Int("n", 1 + seed % 3).Int("stream", stream));
        ASSERT_EQ(answer.texts.size(), static_cast<size_t>(1 + seed % 3));
        for (const auto& [index, text] : answer.texts) {
          EXPECT_TRUE(structure.holds(text.text)) << structure.name << ": " << text.text;
          EXPECT_EQ(text.reason, "stop") << text.text;
        }
      }
    }
  }
  EXPECT_TRUE(ComesToRest(*engine));
}

TEST(StructuredTest, GreedyTextsAndThoseThatIgnoreTheEndAreOfTheGrammarToo) {
  const std::unique_ptr<Engine> engine = StartEngine();
  for (const Structure& structure : Structures()) {
    for (const int ignore : {0, 1}) {
      const Answer answer =
          Ask(*engine, Structured(structure, 3).Float("temperature", 0).Int("ignore_eos", ignore));
      if (answer[0].reason == "length") continue;  // a loop that the grammar allows
      EXPECT_TRUE(structure.holds(answer[0].text)) << structure.name << ": " << answer[0].text;
    }
  }
}

TEST(StructuredTest, AnObjectIsAnObject) {
  const std::unique_ptr<Engine> engine = StartEngine();
  int complete = 0;
  for (int seed = 0; seed < 4; ++seed) {
    const Answer answer = Ask(*engine, Asked(Prompt(seed, 12), 200)
                                           .Int("ignore_eos", 0)
                                           .Draws(seed, 1.5)
                                           .String("structured_json_object", "1"));
    const std::string& text = answer[0].text;
    EXPECT_EQ(text.find_first_not_of(" \n\r\t"), text.find('{')) << text;
    if (answer[0].reason != "stop") continue;
    ++complete;
    boost::system::error_code error;
    EXPECT_TRUE(boost::json::parse(text, error).is_object() && !error) << text;
  }
  EXPECT_GT(complete, 0);
}

TEST(StructuredTest, SaysTheSameWithTooFewBlocksAndLeavesOthersAlone) {
  const std::unique_ptr<Engine> roomy = StartEngine();
  const std::unique_ptr<Engine> tight =
      StartEngine(WithBlocks(14, {{"max-num-batched-tokens", "31"}, {"spec-method", "ngram"}}));
  std::vector<Asked> asked;
  for (int i = 0; i < 10; ++i) {
    const Structure& structure = Structures()[static_cast<size_t>(i) % Structures().size()];
    asked.push_back(Structured(structure, i).Int("n", 1 + i % 2));
    asked.push_back(Asked(Prompt(100 + i, 20), 30));  // no grammar
  }
  Client client(*tight);
  for (size_t i = 0; i < asked.size(); ++i)
    ASSERT_TRUE(client.Start(static_cast<int>(i), asked[i]).ok());
  std::map<int, Answer> answers = client.Wait();
  for (size_t i = 0; i < asked.size(); ++i) {
    const Answer alone = Ask(*roomy, asked[i]);
    for (const auto& [index, text] : alone.texts) {
      const Text& other = answers[static_cast<int>(i)][index];
      EXPECT_EQ(other.tokens, text.tokens) << i << " " << index;
      EXPECT_EQ(other.text, text.text) << i << " " << index;
      EXPECT_EQ(other.reason, text.reason) << i << " " << index;
    }
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));
}

TEST(StructuredTest, MaxTokensCutsIt) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Answer answer = Ask(*engine, Structured(Structures()[0], 1).Int("max_tokens", 5));
  EXPECT_EQ(answer[0].reason, "length");
  EXPECT_EQ(answer[0].tokens.size(), 5u);
}

TEST(StructuredTest, SubmitNamesWhatIsWrongWithAGrammar) {
  const std::unique_ptr<Engine> engine = StartEngine();
  Client client(*engine);
  const auto refusal = [&](const char* name, const char* source) {
    const Status status = client.Start(0, Asked(Prompt(1, 5), 4).String(name, source));
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << name << " " << source;
    EXPECT_THAT(status.message(), HasSubstr("structured output"));
    return status.message();
  };
  EXPECT_THAT(refusal("structured_json", R"({"type": "objet"})"), HasSubstr("objet"));
  EXPECT_THAT(refusal("structured_json", R"({"type": )"), HasSubstr("schema:1:10"));
  EXPECT_THAT(refusal("structured_regex", "(a"), AnyOf(HasSubstr("unclosed"), HasSubstr("regex")));
  EXPECT_THAT(refusal("structured_choice", "[1]"), HasSubstr("string"));
  EXPECT_THAT(refusal("structured_choice", "[]"), HasSubstr("at least one string"));
  EXPECT_THAT(refusal("structured_grammar", "root ::= nothing"), HasSubstr("nothing"));
  EXPECT_THAT(refusal("structured_grammar", "start: nothing\n"), HasSubstr("nothing"));
}

}  // namespace
}  // namespace keel
