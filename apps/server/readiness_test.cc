#include "apps/server/readiness.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(ReadinessTest, AnEndingServerServesButIsNotChosen) {
  Readiness readiness;
  EXPECT_EQ(readiness.Refusal()->message, "the model is loading");
  EXPECT_EQ(readiness.NotReady()->code, ErrorCode::kUnavailable);
  readiness.Set(Readiness::State::kServing);
  EXPECT_FALSE(readiness.Refusal().has_value());
  EXPECT_FALSE(readiness.NotReady().has_value());
  readiness.Set(Readiness::State::kEnding);
  EXPECT_FALSE(readiness.Refusal().has_value());
  EXPECT_EQ(readiness.NotReady()->message, "the server is ending");
  readiness.Set(Readiness::State::kEnded);
  EXPECT_EQ(readiness.Refusal()->message, "the server has ended");
}

}  // namespace
}  // namespace keel::apps
