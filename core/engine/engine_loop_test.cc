#include "core/engine/engine_loop.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

class Counter : public EngineClient {
 public:
  bool RunOnce() override {
    ++runs;
    if (todo > 0 && --todo == 0) done.Notify();
    return todo > 0;
  }
  absl::Time WakeAt() const override { return wake_at; }

  std::atomic<int> runs = 0;
  std::atomic<int> todo = 0;
  absl::Time wake_at = absl::InfiniteFuture();
  absl::Notification done;
};

TEST(EngineLoopTest, RunsAClientUntilItHasNothingToDo) {
  EngineLoop loop;
  Counter client;
  client.todo = 100;
  loop.Add(&client);
  client.done.WaitForNotification();
  loop.Remove(&client);
  EXPECT_GE(client.runs, 100);
}

TEST(EngineLoopTest, SleepsUntilWoken) {
  EngineLoop loop;
  Counter client;
  loop.Add(&client);
  while (client.runs == 0) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(20));
  const int before = client.runs;
  client.todo = 1;
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_EQ(client.runs, before);
  loop.Wake();
  client.done.WaitForNotification();
  loop.Remove(&client);
}

TEST(EngineLoopTest, RunsAClientAtItsTime) {
  EngineLoop loop;
  Counter client;
  client.todo = 2;
  client.wake_at = absl::Now() + absl::Milliseconds(50);
  loop.Add(&client);
  client.done.WaitForNotification();
  loop.Remove(&client);
}

TEST(EngineLoopTest, NobodyRunsAfterRemove) {
  EngineLoop loop;
  for (int i = 0; i < 50; ++i) {
    auto client = std::make_unique<Counter>();
    client->todo = 1000000;
    loop.Add(client.get());
    while (client->runs == 0) absl::SleepFor(absl::Microseconds(100));
    loop.Remove(client.get());
    const int runs = client->runs;
    absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(client->runs, runs);
  }
}

TEST(EngineLoopTest, TakesClientsInTurn) {
  EngineLoop loop;
  Counter a, b;
  a.todo = b.todo = 1000;
  loop.Add(&a);
  loop.Add(&b);
  a.done.WaitForNotification();
  b.done.WaitForNotification();
  EXPECT_NEAR(a.runs, b.runs, 900);  // a may begin before b is there
  loop.Remove(&a);
  loop.Remove(&b);
}

TEST(EngineLoopTest, TheSharedOneGoesWithItsLastHolder) {
  std::weak_ptr<EngineLoop> weak;
  {
    const std::shared_ptr<EngineLoop> loop = EngineLoop::Shared();
    weak = loop;
    EXPECT_EQ(EngineLoop::Shared(), loop);
  }
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace keel
