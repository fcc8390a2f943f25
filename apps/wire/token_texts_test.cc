#include "apps/wire/token_texts.h"

#include <utility>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(TokenTextsTest, ATokenIsItsTextOrItsId) {
  const Engine engine = std::move(Engine::Create(Options())).value();
  TokenTexts texts(engine);
  EXPECT_EQ(texts.Text(97), "a");
  EXPECT_EQ(texts.Text(97), "a");
  EXPECT_EQ(texts.Text(9999), "token_id:9999");  // none of the vocabulary
  TokenTexts ids(engine, /*as_ids=*/true);
  EXPECT_EQ(ids.Text(97), "token_id:97");
}

}  // namespace
}  // namespace keel::apps
