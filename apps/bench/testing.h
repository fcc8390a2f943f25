// A bench on the fake engine, for tests of scenarios.
#ifndef KEEL_APPS_BENCH_TESTING_H_
#define KEEL_APPS_BENCH_TESTING_H_

#include <atomic>

#include "apps/bench/closed_loop.h"
#include "gtest/gtest.h"

namespace keel::apps {

// A step takes a millisecond.
class BenchTest : public ::testing::Test {
 protected:
  static Engine MakeEngine() {
    Options options;
    EXPECT_TRUE(options.Set("step-ms", "1").ok());
    Result<Engine> engine = Engine::Create(options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return *std::move(engine);
  }

  Engine engine_ = MakeEngine();
  Progress progress_;
  std::atomic<bool> stop_ = false;
  // The fake engine's tokens are bytes; these are ASCII, so that each is text.
  Bench bench_{.engine = engine_, .prompts = Prompts(128), .progress = progress_, .stop = stop_};
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_TESTING_H_
