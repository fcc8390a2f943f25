#include "apps/batch/shard.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

TEST(ShardTest, ShardsShareTheLines) {
  for (int64_t lines = 0; lines < 12; ++lines) {
    int64_t sum = 0;
    for (int64_t i = 0; i < 5; ++i) {
      const Result<Shard> shard = ParseShard(std::to_string(i) + "/5");
      ASSERT_TRUE(shard.ok());
      int64_t has = 0;
      for (int64_t line = 1; line <= lines; ++line) has += shard->Has(line) ? 1 : 0;
      EXPECT_EQ(has, shard->Size(lines));
      sum += has;
    }
    EXPECT_EQ(sum, lines);
  }
  EXPECT_TRUE(Shard().Has(7));
  EXPECT_EQ(Shard().Size(7), 7);
}

TEST(ShardTest, OthersAreRefused) {
  for (const char* text : {"", "1", "1/", "/2", "a/2", "1/2x", "0/0", "1/-2"})
    EXPECT_THAT(ParseShard(text).status().message(), HasSubstr("expected I/N")) << text;
  for (const char* text : {"4/4", "-1/4"})
    EXPECT_THAT(ParseShard(text).status().message(), HasSubstr("expected 0/4 to 3/4")) << text;
}

}  // namespace
}  // namespace keel::apps
