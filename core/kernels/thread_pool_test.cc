#include "core/kernels/thread_pool.h"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/kernels/float_mode.h"
#include "core/kernels/parallel.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// More than most test machines have processors, so that threads sleep at once; and as many as there are,
// so that they spin.
const int kSizes[] = {1, 2, 3, 8, DefaultThreads()};

TEST(ThreadPoolTest, RunsEachPieceOnce) {
  for (const int threads : kSizes) {
    ThreadPool pool({threads});
    for (int call = 0; call < 2000; ++call) {
      const int pieces = 1 + call % threads;
      std::vector<int> runs(static_cast<size_t>(threads));  // no atomics: pieces don't share
      ASSERT_TRUE(pool.TryRun(pieces, [&](int i) { ++runs[static_cast<size_t>(i)]; }));
      for (int i = 0; i < threads; ++i) ASSERT_EQ(runs[i], i < pieces) << "call " << call;
    }
  }
}

TEST(ThreadPoolTest, SeesWhatTheCallerWroteAndGivesBackWhatPiecesWrote) {
  ThreadPool pool({4});
  std::vector<int64_t> values(4, 1);
  for (int call = 0; call < 5000; ++call) {
    const int64_t sum = std::accumulate(values.begin(), values.end(), int64_t{0}) % 1000;
    ASSERT_TRUE(pool.TryRun(4, [&](int i) { values[static_cast<size_t>(i)] = sum + i; }));
    for (int i = 0; i < 4; ++i) ASSERT_EQ(values[static_cast<size_t>(i)], sum + i);
  }
}

TEST(ThreadPoolTest, PieceZeroIsTheCallers) {
  ThreadPool pool({3});
  std::thread::id first;
  ASSERT_TRUE(pool.TryRun(3, [&](int i) {
    if (i == 0) first = std::this_thread::get_id();
  }));
  EXPECT_EQ(first, std::this_thread::get_id());
}

TEST(ThreadPoolTest, TakesNoCallFromWithinAPiece) {
  ThreadPool pool({2}), other({2});
  std::atomic<int> refused = 0;
  EXPECT_FALSE(ThreadPool::IsInPiece());
  ASSERT_TRUE(pool.TryRun(2, [&](int) {
    EXPECT_TRUE(ThreadPool::IsInPiece());
    refused += !pool.TryRun(1, [](int) {});
    refused += !other.TryRun(1, [](int) {});
  }));
  EXPECT_EQ(refused, 4);
  EXPECT_FALSE(ThreadPool::IsInPiece());
}

TEST(ThreadPoolTest, ServesOneOfManyCallersAtATime) {
  ThreadPool pool({3});
  std::atomic<int> inside = 0, most = 0, served = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c) {
    callers.emplace_back([&] {
      for (int call = 0; call < 2000; ++call) {
        std::atomic<int> pieces = 0;
        const bool ran = pool.TryRun(3, [&](int) {
          most = std::max(most.load(), ++inside);
          ++pieces;
          --inside;
        });
        ASSERT_EQ(pieces, ran ? 3 : 0);
        served += ran;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(most, 3);
  EXPECT_GT(served, 0);
}

TEST(ThreadPoolTest, ACallDoesNotWaitForThreadsThatSleep) {
  ThreadPool pool({2});
  std::this_thread::sleep_for(milliseconds(5));
  for (int i = 0; i < 50; ++i) {
    std::this_thread::sleep_for(milliseconds(1));
    int runs[2] = {};
    ASSERT_TRUE(pool.TryRun(2, [&](int piece) { ++runs[piece]; }));
    ASSERT_EQ(runs[0] + runs[1], 2);
  }
}

TEST(ThreadPoolTest, WaitsForAPieceThatTakesLong) {
  ThreadPool pool({2});
  for (int call = 0; call < 3; ++call) {
    std::atomic<int> begun = 0, done = 0;
    ASSERT_TRUE(pool.TryRun(2, [&](int piece) {
      ++begun;
      // Neither takes the other's: both are there before one sleeps past kSpin.
      while (begun < 2) std::this_thread::yield();
      if (piece == 1) std::this_thread::sleep_for(milliseconds(20));
      ++done;
    }));
    EXPECT_EQ(done, 2);
  }
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return t.tv_sec + 1e-6 * t.tv_usec; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST(ThreadPoolTest, TakesNoTimeWhenIdle) {
  ThreadPool pool({DefaultThreads()}), crowd({32});
  ASSERT_TRUE(pool.TryRun(pool.threads(), [](int) {}));
  ASSERT_TRUE(crowd.TryRun(crowd.threads(), [](int) {}));
  std::this_thread::sleep_for(milliseconds(20));
  const double before = CpuSeconds();
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_LT(CpuSeconds() - before, 0.01);
}

TEST(ThreadPoolTest, AThreadThatWaitsStopsSpinning) {
  if (DefaultThreads() < 2) GTEST_SKIP() << "one processor";
  ThreadPool pool({2});
  std::atomic<int> begun = 0;
  double spun = 0;
  ASSERT_TRUE(pool.TryRun(2, [&](int piece) {
    ++begun;
    while (begun < 2) std::this_thread::yield();
    if (piece == 0) return;  // the caller waits for the other
    const double before = CpuSeconds();
    std::this_thread::sleep_for(milliseconds(300));
    spun = CpuSeconds() - before;
  }));
  EXPECT_LT(spun, 0.03);
}

// A pool whose threads get no processor, or late, is as good as none, and not much worse.
TEST(ThreadPoolTest, IsDoneInTimeBesideForeignThreads) {
  std::atomic<bool> ends = false;
  std::vector<std::thread> others;
  for (int i = 0; i < 4 * DefaultThreads(); ++i)
    others.emplace_back([&] {
      while (!ends) {
      }
    });
  ThreadPool pool({std::max(2, DefaultThreads())});
  const auto start = steady_clock::now();
  int64_t sum = 0;
  for (int call = 0; call < 1000; ++call) {
    std::vector<int64_t> parts(static_cast<size_t>(pool.threads()));
    ASSERT_TRUE(pool.TryRun(pool.threads(), [&](int i) { parts[static_cast<size_t>(i)] = 1; }));
    sum += std::accumulate(parts.begin(), parts.end(), int64_t{0});
  }
  const duration<double> time = steady_clock::now() - start;
  ends = true;
  for (std::thread& other : others) other.join();
  EXPECT_EQ(sum, 1000 * pool.threads());
  // A barrier that needs every thread takes a slice of the scheduler's (3 ms and more) each time.
  EXPECT_LT(time.count(), 5);
}

TEST(ThreadPoolTest, EndsAtOnceWhateverItsThreadsDo) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool({3});
    if (i % 2 == 0) {
      ASSERT_TRUE(pool.TryRun(3, [](int) {}));
    }
    if (i % 3 == 0) std::this_thread::sleep_for(ThreadPool::kSpin);
  }
}

TEST(ThreadPoolDeathTest, WhatAPieceThrowsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool({2});
        (void)pool.TryRun(2, [](int) { throw std::runtime_error("a piece threw"); });
      },
      "a piece threw");
}

TEST(ParallelForTest, CoversTheRangeInPiecesOfTheGrain) {
  for (const int threads : kSizes) {
    ThreadPool pool({threads});
    const ScopedThreadPool scope(pool);
    EXPECT_EQ(ParallelThreads(), threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> seen(static_cast<size_t>(n));
        std::atomic<int> pieces = 0;
        ParallelFor(n, grain, [&](int64_t begin, int64_t end) {
          ++pieces;
          EXPECT_GE(end - begin, std::min(n, grain));
          EXPECT_EQ(ParallelThreads() == 1, threads == 1 || ThreadPool::IsInPiece());
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(n), 1));
        EXPECT_LE(pieces, threads);
      }
    }
  }
}

TEST(ParallelForTest, IsSerialWithinAPiece) {
  ThreadPool pool({4});
  const ScopedThreadPool scope(pool);
  std::atomic<int64_t> sum = 0;
  ParallelFor(4, 1, [&](int64_t, int64_t) {
    const std::thread::id self = std::this_thread::get_id();
    ParallelFor(100, 1, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(begin, 0);
      EXPECT_EQ(end, 100);
      EXPECT_EQ(std::this_thread::get_id(), self);
      sum += end - begin;
    });
  });
  EXPECT_EQ(sum, 400);
}

TEST(ParallelForTest, CallersWithPoolsOfTheirOwnRunSideBySide) {
  std::vector<std::thread> callers;
  std::atomic<int> failures = 0;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      ThreadPool pool({2});
      const ScopedThreadPool scope(pool);
      for (int call = 0; call < 1000; ++call) {
        std::vector<int> seen(64);
        ParallelFor(64, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        failures += seen != std::vector<int>(64, 1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failures, 0);
}

TEST(ParallelForTest, ThePoolOfAThreadIsTheOneOfTheInnermostScope) {
  const int outside = ParallelThreads();
  ThreadPool two({2}), three({3});
  {
    const ScopedThreadPool outer(two);
    EXPECT_EQ(ParallelThreads(), 2);
    {
      const ScopedThreadPool inner(three);
      EXPECT_EQ(ParallelThreads(), 3);
    }
    EXPECT_EQ(ParallelThreads(), 2);
  }
  EXPECT_EQ(ParallelThreads(), outside);
}

TEST(ParallelForTest, WhoAsksForTheSameNumberOfThreadsSharesThem) {
  const auto two = SharedThreadPool(2);
  EXPECT_EQ(SharedThreadPool(2), two);
  EXPECT_NE(SharedThreadPool(3), two);
  EXPECT_NE(SharedThreadPool(2, /*pin=*/true), two);
  EXPECT_EQ(SharedThreadPool(0)->threads(), DefaultThreads());
}

#if defined(__x86_64__)
// Half of the least normal number.
float Denormal() {
  volatile float least = std::numeric_limits<float>::min();
  return least * 0.5f;
}

TEST(ParallelForTest, DenormalsAreZeroInEveryPieceAndNotAfterwards) {
  ASSERT_GT(Denormal(), 0);
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool({threads});
    const ScopedThreadPool scope(pool);
    ParallelFor(threads, 1, [](int64_t, int64_t) {
      EXPECT_EQ(Denormal(), 0);
      {
        const DefaultFloatMode foreign;
        EXPECT_GT(Denormal(), 0);
      }
      EXPECT_EQ(Denormal(), 0);
    });
    EXPECT_GT(Denormal(), 0);
  }
}

TEST(FloatModeTest, WhatWasSetInAScopeEndsWithIt) {
  const uint32_t before = FloatMode() & ~0x3fu;  // the low bits are what has happened
  {
    const DefaultFloatMode foreign;
    SetFloatMode(FloatMode() | 0x6000);  // rounds toward zero, from here on
  }
  EXPECT_EQ(FloatMode() & ~0x3fu, before);
}
#endif

}  // namespace
}  // namespace keel
