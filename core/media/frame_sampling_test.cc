#include "core/media/frame_sampling.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/status_matchers.h"
#include "core/media/media_goldens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::MediaGoldens;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

TEST(FrameSamplingTest, FramesAreThoseOfTransformers) {
  for (const auto& [name, golden] : MediaGoldens("sampling.json")) {
    const boost::json::object& asked = golden.as_object();
    FrameSampling sampling;
    if (const auto* n = asked.if_contains("num_frames"))
      sampling.num_frames = static_cast<int>(n->as_int64());
    if (const auto* fps = asked.if_contains("fps")) sampling.fps = fps->to_number<double>();
    const auto indices = SampleFrames(sampling, asked.at("total").as_int64(),
                                      asked.at("clip_fps").to_number<double>(), 1 << 20);
    ASSERT_TRUE(indices.ok()) << name << ": " << indices.status();
    EXPECT_EQ(*indices, boost::json::value_to<std::vector<int64_t>>(asked.at("indices"))) << name;
  }
}

TEST(FrameSamplingTest, AShortClipIsTakenWholeWhereItMayBe) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto all,
                            SampleFrames({.num_frames = 5, .or_all = true}, 3, 8, 9));
  EXPECT_EQ(all, (std::vector<int64_t>{0, 1, 2}));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto two,
                            SampleFrames({.num_frames = 2, .or_all = true}, 4, 8, 9));
  EXPECT_EQ(two, (std::vector<int64_t>{0, 2}));
}

TEST(FrameSamplingTest, WhatCannotBeIsRefused) {
  const auto invalid = [](absl::string_view text) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(text)));
  };
  EXPECT_THAT(SampleFrames({.num_frames = 5}, 4, 8, 100), invalid("it has 4 frames"));
  EXPECT_THAT(SampleFrames({.fps = 16}, 4, 8, 100), invalid("it has 4 frames"));
  EXPECT_THAT(SampleFrames({.fps = 1e300}, 4, 8, 100), invalid("it has 4 frames"));
  EXPECT_THAT(SampleFrames({.fps = 1}, 4, 0, 100), invalid("does not say"));
  EXPECT_THAT(SampleFrames({.num_frames = 2, .fps = 1}, 4, 8, 100), invalid("both given"));
  EXPECT_THAT(SampleFrames({.num_frames = -1}, 4, 8, 100), invalid("at least 0"));
  EXPECT_THAT(SampleFrames({}, 101, 8, 100),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 100")));
}

}  // namespace
}  // namespace keel
