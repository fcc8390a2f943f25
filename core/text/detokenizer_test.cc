#include "core/text/detokenizer.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/base/status_matchers.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::TestTokenizer;
using ::testing::ElementsAre;

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

// Ends within a character?
bool IsCut(absl::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return false;
    if (byte < 0xC0) continue;
    const size_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    return length > back;
  }
  return false;
}

std::vector<std::string> Pieces(const std::shared_ptr<const Tokenizer>& tokenizer,
                                const std::vector<int32_t>& ids, bool skip_special = true) {
  IncrementalDetokenizer detokenizer(tokenizer, {.skip_special_tokens = skip_special});
  std::vector<std::string> pieces;
  for (const int32_t id : ids) {
    const absl::StatusOr<std::string> piece = detokenizer.Add(id);
    KEEL_EXPECT_OK(piece);
    if (piece.ok()) pieces.push_back(*piece);
    EXPECT_FALSE(IsCut(pieces.back()));
  }
  const absl::StatusOr<std::string> rest = detokenizer.Flush();
  KEEL_EXPECT_OK(rest);
  if (rest.ok()) pieces.push_back(*rest);
  return pieces;
}

std::string Join(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

class DetokenizerTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer_ = TestTokenizer(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Tokenizers, DetokenizerTest,
                         ::testing::ValuesIn(keel::testing::kTokenizers),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(DetokenizerTest, PiecesOfATextJoinToItsDecoding) {
  for (const char* text : {"Hello, world! It's 12345.", "  spaces   between \n\n lines\n",
                           "na\u00efve \u4f60\u597d\u4e16\u754c \u0e17\u0e14\u0e2a\u0e2d\u0e1a",
                           "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f44d",
                           "\U00010348\U0001d518 \u0f56\u0f7c\u0f51 end"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> ids, tokenizer_->Encode(text));
    EXPECT_THAT(tokenizer_->Decode(ids), IsOkAndHolds(Join(Pieces(tokenizer_, ids)))) << text;
  }
}

TEST_P(DetokenizerTest, PiecesOfRandomTokensJoinToTheirDecoding) {
  const bool byte_fallback = std::string(GetParam()) == "llama2";
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const bool skip_special = random() % 2 == 0;
    std::vector<int32_t> ids(1 + random() % 120);
    // Many tokens of single bytes in half of the sequences: the first 300 ids hold them.
    const uint32_t range = random() % 2 == 0 ? 300 : tokenizer_->vocab_size();
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % range);
    KEEL_ASSERT_OK_AND_ASSIGN(const std::string whole, tokenizer_->Decode(ids, skip_special));
    const std::string joined = Join(Pieces(tokenizer_, ids, skip_special));
    // The exception that the header names.
    if (byte_fallback && absl::StrContains(whole, kReplacement)) continue;
    EXPECT_EQ(joined, whole);
  }
}

TEST_P(DetokenizerTest, AForkGoesOnAsTheOriginalWould) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> ids,
                            tokenizer_->Encode("caf\u00e9 \U0001f600\u4f60 fork"));
  for (size_t at = 0; at < ids.size(); ++at) {
    IncrementalDetokenizer original(tokenizer_);
    std::string text;
    for (size_t i = 0; i < at; ++i) text += original.Add(ids[i]).value();
    IncrementalDetokenizer fork = original;
    for (size_t i = at; i < ids.size(); ++i) text += fork.Add(ids[i]).value();
    text += fork.Flush().value();
    EXPECT_THAT(tokenizer_->Decode(ids), IsOkAndHolds(text)) << at;
  }
}

std::vector<int32_t> IdsOf(const Tokenizer& tokenizer, const std::vector<std::string>& tokens) {
  std::vector<int32_t> ids;
  for (const std::string& token : tokens) ids.push_back(tokenizer.TokenToId(token).value());
  return ids;
}

TEST(ByteFallbackTest, HoldsACharacterBackUntilItsLastByte) {
  const auto tokenizer = TestTokenizer("llama2");
  const auto ids = IdsOf(*tokenizer, {"a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0x0A>", "b"});
  EXPECT_THAT(Pieces(tokenizer, ids), ElementsAre("a", "", "", "", "\U0001f600", "\n", "b", ""));
}

TEST(ByteFallbackTest, HandsOutWhatCannotBecomeACharacter) {
  const auto tokenizer = TestTokenizer("llama2");
  const auto ids = IdsOf(*tokenizer, {"a", "<0xF0>", "<0x9F>", "b", "<0xE4>"});
  EXPECT_THAT(Pieces(tokenizer, ids),
              ElementsAre("a", "", "", std::string(kReplacement) + std::string(kReplacement) + "b",
                          "", std::string(kReplacement)));
}

TEST(ByteFallbackTest, KeepsCharactersThatWereCompleteBeforeABadByte) {
  const auto tokenizer = TestTokenizer("llama2");
  const auto ids = IdsOf(*tokenizer, {"<0x0A>", "<0xE4>", "<0xBD>", "<0xA0>", "<0xFF>", "▁", "a"});
  EXPECT_EQ(Join(Pieces(tokenizer, ids)), "\n\u4f60" + std::string(kReplacement) + " a");
}

TEST(ByteFallbackTest, BadBytesWithoutEndAreHandedOutAsTheyCome) {
  const auto tokenizer = TestTokenizer("llama2");
  const std::vector<int32_t> ids(500, tokenizer->TokenToId("<0xFF>").value());
  const std::vector<std::string> pieces = Pieces(tokenizer, ids);
  EXPECT_THAT(tokenizer->Decode(ids), IsOkAndHolds(Join(pieces)));
  EXPECT_LE(pieces.back().size(), 3 * kReplacement.size());
}

TEST(DetokenizerPrimeTest, ATextThatContinuesAPromptKeepsItsFirstSpace) {
  const auto tokenizer = TestTokenizer("llama2");
  const auto ids = IdsOf(*tokenizer, {"▁", "a"});
  IncrementalDetokenizer alone(tokenizer);
  EXPECT_THAT(alone.Add(ids), IsOkAndHolds(std::string("a")));
  IncrementalDetokenizer primed(tokenizer);
  KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> prompt, tokenizer->Encode("the"));
  KEEL_ASSERT_OK(primed.Prime(prompt));
  EXPECT_THAT(primed.Add(ids), IsOkAndHolds(std::string(" a")));
}

TEST(DetokenizerPrimeTest, SpecialTokensAreNoContext) {
  const auto tokenizer = TestTokenizer("llama2");
  std::vector<int32_t> ids = IdsOf(*tokenizer, {"a"});
  ids.insert(ids.end(), 100, tokenizer->eos_id().value());
  for (const int32_t id : IdsOf(*tokenizer, {"▁", "a"})) ids.push_back(id);
  EXPECT_EQ(Join(Pieces(tokenizer, ids)), "a a");
}

}  // namespace
}  // namespace keel
