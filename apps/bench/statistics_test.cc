#include "apps/bench/statistics.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(PercentileTest, IsInterpolated) {
  const std::vector<double> values = {10, 20, 30, 40, 50};
  EXPECT_DOUBLE_EQ(Percentile(values, 0), 10);
  EXPECT_DOUBLE_EQ(Percentile(values, 50), 30);
  EXPECT_DOUBLE_EQ(Percentile(values, 90), 46);
  EXPECT_DOUBLE_EQ(Percentile(values, 100), 50);
  EXPECT_DOUBLE_EQ(Percentile({7}, 99), 7);
}

TEST(SummarizeTest, SortsFirst) {
  const Summary summary = Summarize({5, 1, 3});
  EXPECT_EQ(summary.count, 3U);
  EXPECT_DOUBLE_EQ(summary.mean, 3);
  EXPECT_DOUBLE_EQ(summary.p50, 3);
  EXPECT_DOUBLE_EQ(summary.p90, 4.6);
  EXPECT_DOUBLE_EQ(summary.p99, 4.96);
  EXPECT_DOUBLE_EQ(summary.max, 5);
}

TEST(SummarizeTest, NoValuesAreZero) {
  EXPECT_EQ(Summarize({}).count, 0U);
  EXPECT_EQ(Summarize({}).p99, 0);
}

TEST(MedianTest, IsTheMiddleOne) {
  EXPECT_EQ(Median({5, 1, 3}), 3);
  EXPECT_EQ(Median({}), 0);
}

}  // namespace
}  // namespace keel::apps
