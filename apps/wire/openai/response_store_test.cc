#include "apps/wire/openai/response_store.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(ResponseStoreTest, WhatWasPutIsFound) {
  ResponseStore store(10'000);
  store.Put("a", {"[1]", "{}"});
  store.Put("a", {"[2]", "{}"});  // a response does not change
  EXPECT_EQ(store.Find("a")->messages, "[1]");
  EXPECT_EQ(store.Find("a")->body, "{}");
  EXPECT_EQ(store.Find("b"), nullptr);
}

TEST(ResponseStoreTest, WhatWasErasedIsGone) {
  ResponseStore store(10'000);
  store.Put("a", {"[1]", "{}"});
  EXPECT_TRUE(store.Erase("a"));
  EXPECT_FALSE(store.Erase("a"));
  EXPECT_EQ(store.Find("a"), nullptr);
}

TEST(ResponseStoreTest, TheLeastRecentlyUsedGoFirst) {
  ResponseStore store(3'000);
  const std::string text(1'000, 'x');
  store.Put("a", {text, ""});
  store.Put("b", {text, ""});
  const std::shared_ptr<const StoredResponse> held = store.Find("a");
  store.Put("c", {text, ""});
  EXPECT_EQ(store.Find("b"), nullptr);
  EXPECT_NE(store.Find("a"), nullptr);
  EXPECT_NE(store.Find("c"), nullptr);
  store.Put("d", {text, ""});  // "a" was used before "c"
  EXPECT_EQ(store.Find("a"), nullptr);
  EXPECT_EQ(held->messages, text);
}

TEST(ResponseStoreTest, WhatIsLongerThanTheStoreIsNotKept) {
  ResponseStore store(1'000);
  store.Put("a", {"[]", "{}"});
  store.Put("b", {"[]", std::string(2'000, 'x')});
  EXPECT_NE(store.Find("a"), nullptr);
  EXPECT_EQ(store.Find("b"), nullptr);
}

}  // namespace
}  // namespace keel::apps
