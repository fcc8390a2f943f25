#include "core/exec/rank_threads.h"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::Each;

TEST(RankThreadsTest, EachRankRunsOnceACallOnAThreadOfItsOwn) {
  constexpr int kRanks = 4;
  RankThreads threads(kRanks);
  std::vector<std::thread::id> first(kRanks), ids(kRanks);
  std::vector<int> counts(kRanks);
  for (int call = 1; call <= 50; ++call) {
    threads.Run([&](int rank) {
      ++counts[rank];
      ids[rank] = std::this_thread::get_id();
    });
    EXPECT_THAT(counts, Each(call));
    if (call == 1) first = ids;
    EXPECT_EQ(ids, first);
  }
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), size_t{kRanks});
}

TEST(RankThreadsTest, RanksMayWaitForEachOther) {
  RankThreads threads(3);
  auto* barrier = new absl::Barrier(3);
  std::atomic<int> passed = 0;
  threads.Run([&](int /*rank*/) {
    if (barrier->Block()) delete barrier;
    ++passed;
  });
  EXPECT_EQ(passed, 3);
}

TEST(RankThreadsTest, OneRankIsTheCallers) {
  RankThreads threads(1);
  int calls = 0;
  threads.Run([&](int rank) { calls += 1 + rank; });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace keel
