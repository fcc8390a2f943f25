#include "core/remote/channel.h"

#include <unistd.h>

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

absl::Time In(int ms) { return absl::Now() + absl::Milliseconds(ms); }

class ChannelTest : public ::testing::Test {
 protected:
  FileDescriptor jail_;
  Channel host_ = Channel::Open(&jail_).value();
};

TEST_F(ChannelTest, FramesGoBothWays) {
  const std::string large(3 << 20, 'x');
  std::thread jail([&] {
    for (int i = 0; i < 2; ++i) {
      const auto frame = ReadFrame(jail_.get());
      ASSERT_TRUE(frame.ok());
      EXPECT_TRUE(WriteFrame(jail_.get(), *frame + "!").ok());
    }
  });
  for (const std::string& text : {std::string(), large}) {
    KEEL_EXPECT_OK(host_.Write(text, In(20000)));
    EXPECT_THAT(host_.Read(kMaxFrameBytes, In(20000)), IsOkAndHolds(text + "!"));
  }
  jail.join();
}

TEST_F(ChannelTest, WaitsNoLongerThanItIsTold) {
  EXPECT_THAT(host_.Read(100, In(30)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Nobody reads: what the socket holds is written, the rest waits.
  EXPECT_THAT(host_.Write(std::string(64 << 20, 'x'), In(100)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ChannelTest, ALengthPromisesNothing) {
  ASSERT_EQ(write(jail_.get(), "\xff\xff\xff\x0f", 4), 4);
  EXPECT_THAT(host_.Read(1 << 20, In(1000)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("268435455 bytes")));
  ASSERT_EQ(write(jail_.get(), "\x05\0\0\0ab", 6), 6);
  EXPECT_THAT(host_.Read(1 << 20, In(30)), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ChannelTest, AClosedEndIsSaid) {
  jail_.Close();
  EXPECT_THAT(host_.Write("x", In(1000)), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(host_.Read(100, In(1000)), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace keel
