#include "core/text/tokenizer.h"

#include <boost/json/value_to.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/base/status_matchers.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

namespace json = boost::json;
using ::keel::testing::IsOkAndHolds;
using ::keel::testing::ReadJsonTestData;
using ::keel::testing::StatusIs;
using ::keel::testing::TestFiles;
using ::keel::testing::TestTokenizer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

std::vector<int32_t> Ids(const json::value& value) {
  return json::value_to<std::vector<int32_t>>(value);
}

std::string Text(const json::value& value) { return json::value_to<std::string>(value); }

class GoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer_ = TestTokenizer(GetParam());
  json::value golden_ = ReadJsonTestData(std::string(GetParam()) + "/golden.json");
};

INSTANTIATE_TEST_SUITE_P(Tokenizers, GoldenTest, ::testing::ValuesIn(keel::testing::kTokenizers),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(GoldenTest, EncodesAsTransformersDoes) {
  for (const json::value& item : golden_.at("encodings").as_array()) {
    const std::string text = Text(item.at("text"));
    SCOPED_TRACE(text);
    EXPECT_THAT(tokenizer_->Encode(text), IsOkAndHolds(Ids(item.at("ids"))));
    EXPECT_THAT(tokenizer_->Encode(text, {.add_special_tokens = false}),
                IsOkAndHolds(Ids(item.at("plain_ids"))));
    EXPECT_THAT(
        tokenizer_->Encode(text, {.add_special_tokens = false, .split_special_tokens = true}),
        IsOkAndHolds(Ids(item.at("split_ids"))));
  }
}

// What bounds a text without tokenizing it holds for texts that people write.
TEST_P(GoldenTest, NoTextHasFewerTokensThanItsLengthSays) {
  if (absl::string_view(GetParam()) == "wordpiece")
    GTEST_SKIP() << "blanks are no token, a word of more than 100 characters is one";
  EXPECT_GE(tokenizer_->max_token_characters(), 32);
  EXPECT_LE(tokenizer_->max_token_characters(), 1024);
  for (const json::value& item : golden_.at("encodings").as_array()) {
    const int64_t tokens = static_cast<int64_t>(item.at("plain_ids").as_array().size());
    EXPECT_LE(static_cast<int64_t>(Text(item.at("text")).size()),
              tokens * 4 * tokenizer_->max_token_characters());  // of at most 4 bytes
  }
}

// But for the spaces at its beginning, which decoders may take off.
TEST_P(GoldenTest, TheBytesOfTokensAreTheText) {
  if (absl::string_view(GetParam()) == "wordpiece") GTEST_SKIP() << "its decoder tidies up texts";
  for (const json::value& item : golden_.at("encodings").as_array()) {
    const std::vector<int32_t> ids = Ids(item.at("plain_ids"));
    std::string bytes;
    for (const int32_t id : ids) {
      const std::optional<std::string> part = tokenizer_->TokenBytes(id);
      ASSERT_TRUE(part.has_value()) << id;
      bytes += *part;
    }
    KEEL_ASSERT_OK_AND_ASSIGN(const std::string text,
                              tokenizer_->Decode(ids, /*skip_special_tokens=*/false));
    EXPECT_EQ(absl::StripLeadingAsciiWhitespace(bytes), absl::StripLeadingAsciiWhitespace(text))
        << Text(item.at("text"));
  }
  EXPECT_EQ(tokenizer_->TokenBytes(tokenizer_->vocab_size()), std::nullopt);
  EXPECT_EQ(tokenizer_->TokenBytes(-1), std::nullopt);
}

TEST_P(GoldenTest, DecodesAsTransformersDoes) {
  for (const json::value& item : golden_.at("decodings").as_array()) {
    const std::vector<int32_t> ids = Ids(item.at("ids"));
    SCOPED_TRACE(::testing::PrintToString(ids));
    EXPECT_THAT(tokenizer_->Decode(ids), IsOkAndHolds(Text(item.at("text"))));
    EXPECT_THAT(tokenizer_->Decode(ids, /*skip_special_tokens=*/false),
                IsOkAndHolds(Text(item.at("text_with_special"))));
  }
}

TEST_P(GoldenTest, KnowsVocabularyAndSpecialTokensAsTransformersDoes) {
  EXPECT_EQ(tokenizer_->vocab_size(), golden_.at("vocab_size").as_int64());
  const auto roles =
      json::value_to<std::map<std::string, std::string>>(golden_.at("special_tokens"));
  EXPECT_EQ(tokenizer_->special_tokens(), roles);
  std::vector<int32_t> special;
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (tokenizer_->IsSpecial(id)) special.push_back(id);
  }
  EXPECT_EQ(special, Ids(golden_.at("special_ids")));
}

TEST_P(GoldenTest, GivesTheSameIdsInManyThreads) {
  const json::array& encodings = golden_.at("encodings").as_array();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (const json::value& item : encodings) {
        EXPECT_THAT(tokenizer_->Encode(Text(item.at("text"))), IsOkAndHolds(Ids(item.at("ids"))));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(GoldenTest, NamesEachTokenBothWays) {
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    const std::optional<std::string> token = tokenizer_->IdToToken(id);
    ASSERT_TRUE(token.has_value()) << id;
    EXPECT_THAT(tokenizer_->TokenToId(*token), Optional(id)) << *token;
  }
}

TEST(TokenizerTest, TellsRolesAndUnknownTokens) {
  const auto tokenizer = TestTokenizer("llama2");
  EXPECT_THAT(tokenizer->bos_id(), Optional(1));
  EXPECT_THAT(tokenizer->eos_id(), Optional(2));
  EXPECT_EQ(tokenizer->pad_id(), std::nullopt);
  EXPECT_EQ(tokenizer->model_max_length(), std::nullopt);
  EXPECT_EQ(tokenizer->TokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->IdToToken(-1), std::nullopt);
  EXPECT_EQ(tokenizer->IdToToken(1 << 30), std::nullopt);
  EXPECT_THAT(TestTokenizer("byte_level")->model_max_length(), Optional(131072));
}

TEST(TokenizerTest, LeavesOutIdsThatTheVocabularyLacks) {
  const auto tokenizer = TestTokenizer("byte_level");
  KEEL_ASSERT_OK_AND_ASSIGN(std::vector<int32_t> ids,
                            tokenizer->Encode("abc", {.add_special_tokens = false}));
  ids.push_back(-1);
  ids.push_back(1 << 30);
  EXPECT_THAT(tokenizer->Decode(ids), IsOkAndHolds(Eq("abc")));
}

TEST(TokenizerTest, RefusesTextThatIsNoUtf8) {
  EXPECT_THAT(TestTokenizer("byte_level")->Encode("ab\xff"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8 (byte 2)")));
}

TEST(TokenizerTest, SaysWhatIsWrongWithAFile) {
  TextFiles files = TestFiles("byte_level");
  files.tokenizer = "{\"version\": \"1.0\", \"model\": 7}";
  EXPECT_THAT(Tokenizer::Create(files),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.json: ")));

  files = TestFiles("byte_level");
  files.tokenizer_config = "{\"bos_token\": 3}";
  EXPECT_THAT(Tokenizer::Create(files),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("tokenizer_config.json: bos_token is 3"),
                             HasSubstr("expected a token"))));
}

TEST(TokenizerTest, RefusesPaddingThatNoMemoryHolds) {
  TextFiles files = TestFiles("wordpiece");
  files.tokenizer =
      absl::StrReplaceAll(files.tokenizer, {{"{\"Fixed\":16}", "{\"Fixed\":1000000000000}"}});
  EXPECT_THAT(Tokenizer::Create(files),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tokenizer.json: padding to 1000000000000 tokens")));
}

TEST(TextFilesTest, SurviveTheWayToAnotherProcess) {
  TextFiles files = TestFiles("wordpiece");
  files.chat_templates = {{"default", "{{ messages }}"}, {"rag", ""}};
  EXPECT_THAT(ParseTextFiles(SerializeTextFiles(files)), IsOkAndHolds(files));
  const std::string bytes = SerializeTextFiles(files);
  EXPECT_THAT(ParseTextFiles(bytes.substr(0, bytes.size() - 1)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(TextFilesTest, NameTheFileThatIsMissing) {
  EXPECT_THAT(ReadTextFiles(keel::testing::TestData("templates")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("has no tokenizer.json")));
}

}  // namespace
}  // namespace keel
