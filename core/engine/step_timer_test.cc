#include "core/engine/step_timer.h"

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::Ge;

double SecondsIn(const StepSeconds& seconds, StepPart part) {
  return seconds[static_cast<size_t>(part)];
}

TEST(StepTimerTest, AddsUpThePartsOfAStep) {
  StepTimer timer(nullptr);
  absl::SleepFor(absl::Milliseconds(1));  // in no part
  timer.Enter(StepPart::kForward);
  absl::SleepFor(absl::Milliseconds(2));
  timer.Enter(StepPart::kSample);
  timer.Enter(StepPart::kForward);
  absl::SleepFor(absl::Milliseconds(2));
  const StepSeconds seconds = timer.Stop();
  EXPECT_GE(SecondsIn(seconds, StepPart::kForward), 0.004);
  EXPECT_EQ(SecondsIn(seconds, StepPart::kSchedule), 0);
  EXPECT_THAT(seconds, Each(Ge(0)));
}

TEST(StepTimerTest, TracesTheStepAndItsParts) {
  const std::string path = JoinPath(::testing::TempDir(), "steps");
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    StepTimer timer(trace.get());
    timer.Enter(StepPart::kSchedule);
    timer.Enter(StepPart::kForward);
    timer.Stop({{"tokens", 17}});
  }
  EXPECT_THAT(ReadFile(path).value_or(""),
              AllOf(ContainsRegex("\"ph\":\"X\".*\"name\":\"schedule\""),
                    ContainsRegex("\"ph\":\"X\".*\"name\":\"forward\""),
                    ContainsRegex("\"name\":\"step\",\"args\":\\{\"tokens\":17\\}")));
}

}  // namespace
}  // namespace keel
