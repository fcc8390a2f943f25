#include "core/parallel/collectives.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <thread>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

// Runs `f` on each of `ranks` ranks and returns their statuses.
std::vector<absl::Status> OnRanks(int ranks, const std::function<absl::Status(Collectives&)>& f) {
  auto collectives = MakeThreadCollectives(ranks);
  std::vector<absl::Status> statuses(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] { statuses[rank] = f(*collectives[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

TEST(CollectivesTest, EveryRankGetsTheSumOfAllThroughManyRounds) {
  const auto statuses = OnRanks(3, [](Collectives& c) -> absl::Status {
    for (int round = 0; round < 200; ++round) {
      auto sum = c.AllReduce(at::full({2}, double(c.rank() + round)));
      if (!sum.ok()) return sum.status();
      if (!at::equal(*sum, at::full({2}, 3.0 * round + 3.0))) return absl::InternalError("wrong");
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) KEEL_EXPECT_OK(status);
}

TEST(CollectivesTest, GatherConcatenatesInOrderOfRank) {
  const auto statuses = OnRanks(2, [](Collectives& c) -> absl::Status {
    auto all = c.AllGather(at::full({1, 2}, double(c.rank())), 1);
    if (!all.ok()) return all.status();
    const float* p = all->const_data_ptr<float>();
    const bool right = all->size(1) == 4 && p[0] == 0 && p[1] == 0 && p[2] == 1 && p[3] == 1;
    return right ? absl::OkStatus() : absl::InternalError("wrong order");
  });
  for (const absl::Status& status : statuses) KEEL_EXPECT_OK(status);
}

TEST(CollectivesTest, BroadcastGivesTheRootsTensor) {
  const auto statuses = OnRanks(2, [](Collectives& c) -> absl::Status {
    auto got = c.Broadcast(c.rank() == 1 ? at::full({3}, 7.0) : at::Tensor(), 1);
    if (!got.ok()) return got.status();
    return at::equal(*got, at::full({3}, 7.0)) ? absl::OkStatus() : absl::InternalError("wrong");
  });
  for (const absl::Status& status : statuses) KEEL_EXPECT_OK(status);
}

TEST(CollectivesTest, ShapesThatDifferFailOnEveryRank) {
  const auto statuses =
      OnRanks(2, [](Collectives& c) { return c.AllReduce(at::zeros({2 + c.rank()})).status(); });
  for (const absl::Status& status : statuses) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("all_reduce")));
  }
}

TEST(CollectivesTest, ARankThatAbortsFreesThoseThatWait) {
  const auto statuses = OnRanks(2, [](Collectives& c) -> absl::Status {
    if (c.rank() == 0) {
      c.Abort(absl::InternalError("rank 0 is gone"));
      return absl::OkStatus();
    }
    return c.AllReduce(at::zeros({1})).status();
  });
  EXPECT_THAT(statuses[1], StatusIs(absl::StatusCode::kInternal, HasSubstr("rank 0 is gone")));
}

TEST(CollectivesTest, WhatIsSentArrivesInOrder) {
  const auto statuses = OnRanks(3, [](Collectives& c) -> absl::Status {
    for (int i = 0; i < 50; ++i) {
      if (c.rank() < 2) {
        const absl::Status sent = c.Send(at::full({1}, 100.0 * c.rank() + i), 2);
        if (!sent.ok()) return sent;
        continue;
      }
      for (const int from : {1, 0}) {
        auto got = c.Receive(from);
        if (!got.ok()) return got.status();
        if (!at::equal(*got, at::full({1}, 100.0 * from + i))) return absl::InternalError("wrong");
      }
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) KEEL_EXPECT_OK(status);
}

TEST(CollectivesTest, ARankThatAbortsFreesWhoReceives) {
  const auto statuses = OnRanks(2, [](Collectives& c) -> absl::Status {
    if (c.rank() == 1) return c.Receive(0).status();
    c.Abort(absl::InternalError("stage 0 is gone"));
    return c.Send(at::zeros({1}), 1);
  });
  for (const absl::Status& status : statuses)
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("stage 0 is gone")));
}

}  // namespace
}  // namespace keel
