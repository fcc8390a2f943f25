#include "apps/bench/token_times.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

Clock::time_point At(int milliseconds) {
  return Clock::time_point() + std::chrono::milliseconds(milliseconds);
}

TEST(TokenTimesTest, SeveralTokensOfAnOutputShareItsGap) {
  TokenTimes times;
  times.submitted = At(100);
  times.ended = At(200);
  times.arrivals = {{At(150), 1}, {At(160), 1}, {At(190), 3}, {At(200), 1}};
  EXPECT_EQ(times.tokens(), 6U);
  EXPECT_NEAR(times.time_to_first_token(), 0.05, 1e-9);
  EXPECT_NEAR(times.end_to_end(), 0.1, 1e-9);
  std::vector<double> seconds;
  for (const Gap& gap : times.gaps()) AppendPerToken(gap, &seconds);
  const auto ten_ms = DoubleNear(0.01, 1e-9);
  EXPECT_THAT(seconds, ElementsAre(ten_ms, ten_ms, ten_ms, ten_ms, ten_ms));
}

TEST(TokenTimesTest, OneOutputHasNoGaps) {
  TokenTimes times;
  EXPECT_TRUE(times.gaps().empty());
  times.arrivals = {{At(1), 4}};
  EXPECT_TRUE(times.gaps().empty());
  EXPECT_EQ(times.tokens(), 4U);
}

}  // namespace
}  // namespace keel::apps
