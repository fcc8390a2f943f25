#include "apps/wire/token_texts.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

Engine FakeEngine() {
  Options options;
  Result<Engine> engine = Engine::Create(options);
  EXPECT_TRUE(engine.ok());
  return *std::move(engine);
}

TEST(TokenTextsTest, ATokenIsItsTextIfThatIsWholeCharacters) {
  const Engine engine = FakeEngine();
  TokenTexts texts(engine);
  EXPECT_EQ(texts.Get('h').text, "h");
  EXPECT_EQ(texts.Get('h').bytes, "h");
  EXPECT_FALSE(texts.Get('h').special);
  EXPECT_TRUE(texts.Get(256).special);
}

TEST(TokenTextsTest, PartsOfCharactersAreToldApart) {
  const Engine engine = FakeEngine();
  TokenTexts texts(engine);
  EXPECT_EQ(texts.Text(0xF0), "bytes:\\xf0");
  EXPECT_EQ(texts.Get(0xF0).bytes, "\xF0");
  EXPECT_EQ(texts.Text(0x9F), "bytes:\\x9f");
}

TEST(TokenTextsTest, IdsInsteadOfTextsKeepTheBytes) {
  const Engine engine = FakeEngine();
  TokenTexts texts(engine, /*as_ids=*/true);
  EXPECT_EQ(texts.Text('h'), "token_id:104");
  EXPECT_EQ(texts.Get('h').bytes, "h");
  EXPECT_EQ(texts.Text(999), "token_id:999");
}

TEST(TokenTextsTest, TheBytesOfACharacterCountOnce) {
  EXPECT_EQ(CountCharacters(""), 0u);
  EXPECT_EQ(CountCharacters("a\xF0"), 2u);
  EXPECT_EQ(CountCharacters("\x9F\x98\x80!"), 1u);
}

TEST(TokenTextsTest, LogprobsThatJsonCannotHold) {
  EXPECT_EQ(FiniteLogprob(-std::numeric_limits<float>::infinity()), -9999);
  EXPECT_EQ(FiniteLogprob(std::nanf("")), -9999);
  EXPECT_EQ(FiniteLogprob(-0.5F), -0.5);
}

}  // namespace
}  // namespace keel::apps
