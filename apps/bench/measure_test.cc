#include "apps/bench/measure.h"

#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(MeasureTest, TimesEveryRepeat) {
  Options options;
  ASSERT_TRUE(options.Set("step-ms", "1").ok());
  auto engine = Engine::Create(options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const auto times = Measure(
      *engine, {.batch = 2, .prompt_tokens = 4, .new_tokens = 20, .repeats = 3, .vocab_size = 256});
  ASSERT_TRUE(times.ok()) << times.status().message();
  EXPECT_EQ(times->prefill.size(), 3U);
  ASSERT_EQ(times->decode.size(), 3U);
  EXPECT_GT(Median(times->decode), 0.01);  // 20 steps of a millisecond at least
}

TEST(MeasureTest, ARefusalIsTheResult) {
  auto engine = Engine::Create(Options());
  ASSERT_TRUE(engine.ok());
  const auto times = Measure(*engine, {.prompt_tokens = 1 << 20, .vocab_size = 256});
  EXPECT_EQ(times.status().code(), Code::kInvalidArgument) << times.status().message();
}

TEST(MedianTest, IsTheMiddleOne) { EXPECT_EQ(Median({5, 1, 3}), 3); }

}  // namespace
}  // namespace keel::apps
