#include "apps/server/running_calls.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

class KeptCall : public RunningCall {
 public:
  void End(const CallError& error) override { message = error.message; }
  void Abort() override { ++aborts; }
  std::string message;
  int aborts = 0;
};

TEST(RunningCallsTest, CallsAreCountedWhileTheyHaveAPlace) {
  RunningCalls calls;
  auto call = std::make_shared<KeptCall>();
  RunningCalls::Place first = calls.Add(call);
  RunningCalls::Place second = calls.Add(call);
  EXPECT_EQ(calls.size(), 2U);
  first = nullptr;
  EXPECT_EQ(calls.size(), 1U);
}

TEST(RunningCallsTest, AllThatLiveAreTold) {
  RunningCalls calls;
  auto call = std::make_shared<KeptCall>();
  const RunningCalls::Place place = calls.Add(call);
  const RunningCalls::Place gone = calls.Add(std::make_shared<KeptCall>());
  calls.EndAll({.message = "the end"});
  EXPECT_EQ(call->message, "the end");
}

TEST(RunningCallsTest, AnIdFindsItsCalls) {
  RunningCalls calls;
  auto one = std::make_shared<KeptCall>(), two = std::make_shared<KeptCall>();
  const RunningCalls::Place first = calls.Add(one, {"a", "b"});
  const RunningCalls::Place second = calls.Add(two, {"b"});
  EXPECT_EQ(calls.Abort("a"), 1U);
  EXPECT_EQ(calls.Abort("b"), 2U);
  EXPECT_EQ(calls.Abort("c"), 0U);
  EXPECT_EQ(one->aborts, 2);
  EXPECT_EQ(calls.AbortAll(), 2U);
  EXPECT_EQ(two->aborts, 2);
}

TEST(RunningCallsTest, APlaceMayOutliveThem) {
  RunningCalls::Place place;
  {
    RunningCalls calls;
    place = calls.Add({});
  }
  place = nullptr;
}

}  // namespace
}  // namespace keel::apps
