#include "apps/bench/closed_loop.h"

#include <algorithm>
#include <thread>

#include "apps/bench/testing.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ClosedLoopTest = BenchTest;

std::vector<Ask> MakeAsks(Bench& bench, size_t n, size_t new_tokens) {
  std::vector<Ask> asks(n);
  for (Ask& ask : asks) ask = {.prompt = bench.prompts.Next(4), .new_tokens = new_tokens};
  return asks;
}

// How many requests ran at the time when one was submitted, itself included, at most.
size_t MostAtOnce(const std::vector<TokenTimes>& all) {
  size_t most = 0;
  for (const TokenTimes& one : all) {
    const auto runs = [&](const TokenTimes& other) {
      return other.submitted <= one.submitted && one.submitted < other.ended;
    };
    most = std::max<size_t>(most, std::count_if(all.begin(), all.end(), runs));
  }
  return most;
}

TEST_F(ClosedLoopTest, KeepsTheConcurrency) {
  for (const size_t concurrency : {1, 3, 20}) {
    const auto ran = RunClosedLoop(bench_, MakeAsks(bench_, 9, 5), concurrency, "test");
    ASSERT_TRUE(ran.ok()) << ran.status().message();
    ASSERT_EQ(ran->size(), 9U);
    EXPECT_EQ(MostAtOnce(*ran), std::min<size_t>(concurrency, 9));
    for (const TokenTimes& times : *ran) {
      EXPECT_TRUE(times.is_complete());
      EXPECT_EQ(times.tokens(), 5U);
      EXPECT_EQ(times.arrivals.size(), 5U);
      EXPECT_GE(times.time_to_first_token(), 0.001);
      EXPECT_GE(times.end_to_end(), 0.005);
    }
    EXPECT_GE(Duration(*ran), 0.005 * (9.0 / static_cast<double>(concurrency)));
  }
}

TEST_F(ClosedLoopTest, AnErrorOfARequestIsTheResult) {
  std::vector<Ask> asks = MakeAsks(bench_, 3, 5);
  asks[1].prompt = {'[', 'f', 'a', 'i', 'l', ']'};
  const auto ran = RunClosedLoop(bench_, asks, 2, "test");
  EXPECT_EQ(ran.status().code(), Code::kInternal) << ran.status().message();
}

TEST_F(ClosedLoopTest, ARefusalIsTheResult) {
  std::vector<Ask> asks = MakeAsks(bench_, 3, 5);
  asks[2].prompt.resize(1 << 20);
  const auto ran = RunClosedLoop(bench_, asks, 2, "test");
  EXPECT_EQ(ran.status().code(), Code::kInvalidArgument) << ran.status().message();
}

TEST_F(ClosedLoopTest, AStopKeepsWhatWasMeasured) {
  std::vector<Ask> asks = MakeAsks(bench_, 3, 2);
  asks[1].new_tokens = 1'000'000'000;  // the fake engine goes on to the end of its context
  std::thread stopper([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop_ = true;
  });
  const auto ran = RunClosedLoop(bench_, asks, 1, "test");
  stopper.join();
  ASSERT_TRUE(ran.ok()) << ran.status().message();
  ASSERT_EQ(ran->size(), 2U);
  EXPECT_TRUE(ran->front().is_complete());
  EXPECT_EQ(ran->back().finish_reason, "abort");
  EXPECT_FALSE(ran->back().arrivals.empty());
}

TEST(DurationTest, OfNothingIsZero) { EXPECT_EQ(Duration({}), 0); }

}  // namespace
}  // namespace keel::apps
