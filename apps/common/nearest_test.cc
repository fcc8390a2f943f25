#include "apps/common/nearest.h"

#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(NearestTest, OnlyWhatIsNear) {
  EXPECT_EQ(Nearest("--modl", {"--port", "--model"}), "--model");
  EXPECT_EQ(Nearest("--temperature", {"--port", "--model"}), "");
  EXPECT_EQ(Nearest("", {}), "");
  EXPECT_EQ(Nearest("max_token", {"max_tokens"}, 1), "max_tokens");
  EXPECT_EQ(Nearest("max_toke", {"max_tokens"}, 1), "");
}

}  // namespace
}  // namespace keel::apps
