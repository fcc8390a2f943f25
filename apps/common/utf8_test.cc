#include "apps/common/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(Utf8Test, WhatIsNoneIsReplaced) {
  for (const std::string good : {"", "river", "Fluß 河 🏞", "\x7f"})
    EXPECT_EQ(ToUtf8(good), good);
  EXPECT_EQ(ToUtf8("a\xff"), "a\uFFFD");
  EXPECT_EQ(ToUtf8("\xe6\xb2 b"), "\uFFFD\uFFFD b");                  // a character cut short
  EXPECT_EQ(ToUtf8("\xc0\xaf"), "\uFFFD\uFFFD");                      // "/" written too long
  EXPECT_EQ(ToUtf8("\xed\xa0\x80").find('\xed'), std::string::npos);  // half of a pair
}

TEST(Utf8Test, ABeginningIsOfWholeCharacters) {
  EXPECT_EQ(Beginning("河川", 6), "河川");
  EXPECT_EQ(Beginning("河川", 5), "河");
  EXPECT_EQ(Beginning("河川", 2), "");
  EXPECT_EQ(Beginning("abc", 2), "ab");
}

}  // namespace
}  // namespace keel::apps
