// The scenarios' measurements on the fake engine, whose steps take a millisecond.
#include "apps/bench/interference.h"
#include "apps/bench/prefix.h"
#include "apps/bench/testing.h"
#include "apps/bench/throughput.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ThroughputTest = BenchTest;
using InterferenceTest = BenchTest;
using PrefixTest = BenchTest;

Clock::time_point At(int milliseconds) {
  return Clock::time_point() + std::chrono::milliseconds(milliseconds);
}

TEST_F(ThroughputTest, ManyAtOnceAreFaster) {
  const ThroughputLoad load{.requests = 8, .prompt_tokens = {4, 9}, .new_tokens = {10, 20}};
  const auto one = MeasureThroughput(bench_, load, 1);
  const auto four = MeasureThroughput(bench_, load, 4);
  ASSERT_TRUE(one.ok() && four.ok()) << one.status().message() << four.status().message();
  EXPECT_EQ(one->requests, 8U);
  EXPECT_EQ(four->requests, 8U);
  EXPECT_EQ(one->prompt_tokens, four->prompt_tokens);
  EXPECT_EQ(one->output_tokens, four->output_tokens);
  EXPECT_EQ(one->itl.count, one->output_tokens - 8);
  EXPECT_DOUBLE_EQ(one->tokens_per_output, 1);
  EXPECT_GE(one->itl.p50, 0.001);
  EXPECT_GT(four->output_tokens_per_second(), 1.5 * one->output_tokens_per_second());
}

TEST_F(InterferenceTest, MeasuresAllPhases) {
  const auto result = MeasureInterference(
      bench_,
      {.streams = 3, .prompt_tokens = {4, 4}, .new_tokens = 10, .long_tokens = 50, .repeats = 2});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->ttft_alone.size(), 2U);
  EXPECT_EQ(result->ttft_loaded.size(), 2U);
  EXPECT_EQ(result->quiet_streams, 0U);
  EXPECT_GE(result->before.itl.count, 20U);  // of two streams of three at least
  EXPECT_GT(result->during.itl.count, 0U);
  EXPECT_GE(result->after.itl.count, 40U);
  EXPECT_GE(result->before.longest_gap, result->before.itl.max);
}

TEST_F(InterferenceTest, StreamsThatEndTooEarlyAreAnError) {
  const auto result = MeasureInterference(
      bench_, {.streams = 2, .prompt_tokens = {4090, 4090}, .long_tokens = 50, .repeats = 1});
  EXPECT_EQ(result.status().code(), Code::kFailedPrecondition) << result.status().message();
}

TEST(SortIntoPhasesTest, AGapIsWhereItsMiddleIs) {
  const std::vector<PrefillTime> prefills = {{At(100), At(200)}, {At(300), At(400)}};
  const std::vector<Gap> gaps = {
      {At(80), At(90), 1},    {At(90), At(108), 2},  // the step before the long prompt
      {At(108), At(201), 1},                         // the prefill's last step
      {At(199), At(210), 1},                         // the step after
      {At(205), At(215), 1},                         //
      {At(295), At(405), 10},                        // the second prefill
  };
  Interference result;
  SortIntoPhases(gaps, prefills, &result);
  EXPECT_EQ(result.before.itl.count, 3U);
  EXPECT_NEAR(result.before.longest_gap, 0.018, 1e-9);
  EXPECT_NEAR(result.before.itl.max, 0.010, 1e-9);
  EXPECT_EQ(result.during.itl.count, 11U);
  EXPECT_NEAR(result.during.longest_gap, 0.110, 1e-9);
  EXPECT_NEAR(result.during.itl.max, 0.093, 1e-9);
  EXPECT_EQ(result.after.itl.count, 2U);
}

// The fake engine has no cache.
TEST_F(PrefixTest, AsksThreeTimesARepeat) {
  const auto times = MeasurePrefix(bench_, {.prefix_tokens = 20, .repeats = 2});
  ASSERT_TRUE(times.ok()) << times.status().message();
  for (const auto* part : {&times->first, &times->second, &times->salted}) {
    EXPECT_EQ(part->ttft.size(), 2U);
    EXPECT_EQ(part->cached_tokens, 0U);
  }
}

}  // namespace
}  // namespace keel::apps
