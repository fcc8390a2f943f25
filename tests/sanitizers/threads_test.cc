// What is right with threads is not reported, by ThreadSanitizer least of all.

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace keel {
namespace {

TEST(ThreadsTest, AnAbslMutexOrdersMemory) {
  absl::Mutex mutex;
  int sum = 0;
  auto add = [&] {
    for (int i = 0; i < 1000; ++i) {
      absl::MutexLock lock(&mutex);
      ++sum;
    }
  };
  std::thread first(add), second(add);
  first.join();
  second.join();
  EXPECT_EQ(sum, 2000);
}

TEST(ThreadsTest, AConditionOfAnAbslMutexOrdersMemory) {
  absl::Mutex mutex;
  int turn = 0;
  auto play = [&](int mine) {
    for (int i = 0; i < 100; ++i) {
      auto ours = [&] { return turn % 2 == mine; };
      absl::MutexLock lock(&mutex);
      mutex.Await(absl::Condition(&ours));
      ++turn;
    }
  };
  std::thread first(play, 0), second(play, 1);
  first.join();
  second.join();
  EXPECT_EQ(turn, 200);
}

TEST(ThreadsTest, AWaitWithADeadlineOrdersMemory) {
  absl::Mutex mutex;
  int posted = 0, taken = 0;
  std::thread taker([&] {
    const auto has_work = [&] { return posted > taken; };
    for (int i = 0; i < 100; ++i) {
      absl::MutexLock lock(&mutex);
      mutex.AwaitWithDeadline(absl::Condition(&has_work), absl::InfiniteFuture());
      ++taken;
    }
  });
  for (int i = 0; i < 100; ++i) {
    absl::MutexLock lock(&mutex);
    ++posted;
  }
  taker.join();
  EXPECT_EQ(taken, 100);
}

TEST(ThreadsTest, AStdMutexOrdersMemory) {
  std::mutex mutex;
  int sum = 0;
  auto add = [&] {
    for (int i = 0; i < 1000; ++i) {
      std::lock_guard<std::mutex> lock(mutex);
      ++sum;
    }
  };
  std::thread first(add), second(add);
  first.join();
  second.join();
  EXPECT_EQ(sum, 2000);
}

}  // namespace
}  // namespace keel
