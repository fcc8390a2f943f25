#include "apps/server/running_calls.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

class KeptCall : public RunningCall {
 public:
  void End(const CallError& error) override { message = error.message; }
  std::string message;
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
