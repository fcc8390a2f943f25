#include "apps/bench/measure.h"

#include "apps/bench/statistics.h"
#include "apps/bench/testing.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

class MeasureTest : public BenchTest {
 protected:
  Roofline roofline_{Products::kF32};
};

TEST_F(MeasureTest, TimesEveryRepeat) {
  const auto times =
      Measure(bench_, {.batch = 2, .prompt_tokens = 4, .new_tokens = 20, .repeats = 3}, roofline_);
  ASSERT_TRUE(times.ok()) << times.status().message();
  EXPECT_EQ(times->prefill.size(), 3U);
  ASSERT_EQ(times->decode.size(), 3U);
  EXPECT_GT(roofline_.read_gb_per_second(), 0);
  EXPECT_GT(Median(times->decode), 0.01);  // 20 steps of a millisecond at least
}

TEST_F(MeasureTest, ARefusalIsTheResult) {
  const auto times = Measure(bench_, {.prompt_tokens = 1 << 20}, roofline_);
  EXPECT_EQ(times.status().code(), Code::kInvalidArgument) << times.status().message();
}

TEST_F(MeasureTest, AStopEndsIt) {
  stop_ = true;
  const auto times = Measure(bench_, {.prompt_tokens = 4}, roofline_);
  ASSERT_TRUE(times.ok()) << times.status().message();
  EXPECT_TRUE(times->prefill.empty());
}

}  // namespace
}  // namespace keel::apps
