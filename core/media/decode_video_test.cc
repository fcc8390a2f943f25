#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "core/base/status_matchers.h"
#include "core/media/decode.h"
#include "core/media/media_goldens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::MediaBytes;
using ::keel::testing::MediaGoldens;
using ::keel::testing::OfDigits;
using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(DecodeVideoTest, FramesArePyAvs) {
  for (const auto& [name, golden] : MediaGoldens("clips.json")) {
    const auto video = DecodeVideo(MediaBytes(std::string(name)), {.sampling = {.num_frames = 3}});
    ASSERT_TRUE(video.ok()) << name << ": " << video.status();
    EXPECT_EQ(video->length, 3) << name;
    EXPECT_EQ(video->total_frames, golden.at("frames").as_int64()) << name;
    EXPECT_EQ(video->height, golden.at("height").as_int64()) << name;
    EXPECT_EQ(video->width, golden.at("width").as_int64()) << name;
    EXPECT_NEAR(video->rate, golden.at("fps").as_int64(), 0.1) << name;
    EXPECT_THAT(video->indices, ElementsAre(0, 4, 8)) << name;
    const std::vector<uint8_t> expected = OfDigits(golden.at("rgb"));
    ASSERT_EQ(video->rgb.size(), expected.size()) << name;
    int largest = 0;
    double sum = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const int difference = std::abs(video->rgb[i] - expected[i]);
      largest = std::max(largest, difference);
      sum += difference;
    }
    // Two versions of swscale, one of them with rounding as the CPU likes it.
    EXPECT_LE(largest, 16) << name;
    EXPECT_LE(sum / static_cast<double>(expected.size()), 1.5) << name;
  }
}

TEST(DecodeVideoTest, TimesAreThoseOfTheFrames) {
  const auto video = DecodeVideo(MediaBytes("clip.mp4"), {.sampling = {.fps = 2}});
  KEEL_ASSERT_OK(video);
  ASSERT_EQ(video->length, 3);
  for (size_t i = 0; i < video->indices.size(); ++i) {
    EXPECT_NEAR(video->seconds[i], static_cast<double>(video->indices[i]) / video->rate, 1e-3);
  }
}

TEST(DecodeVideoTest, WithoutASamplingAllFramesAreTaken) {
  const auto video = DecodeVideo(MediaBytes("clip.webm"), {});
  KEEL_ASSERT_OK(video);
  EXPECT_EQ(video->length, 12);
  EXPECT_EQ(video->rgb.size(), static_cast<size_t>(12 * video->height * video->width * 3));
}

TEST(DecodeVideoTest, LimitsHold) {
  const std::string clip = MediaBytes("clip.mp4");
  EXPECT_THAT(DecodeVideo(clip, {.max_pixels = 10}), Not(StatusIs(absl::StatusCode::kOk)));
  EXPECT_THAT(DecodeVideo(clip, {.max_pixels = 32 * 24 * 11}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("12 frames of 32 x 24")));
  KEEL_EXPECT_OK(DecodeVideo(clip, {.max_pixels = 32 * 24 * 12}));
  EXPECT_THAT(DecodeVideo(clip, {.max_frames = 11}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 11")));
  EXPECT_THAT(DecodeVideo(clip, {.max_clip_frames = 11}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("more than 11 frames")));
  EXPECT_THAT(DecodeVideo(clip, {.sampling = {.num_frames = 13}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has 12 frames")));
}

TEST(DecodeVideoTest, WhatIsNoVideoIsRefused) {
  for (const char* name : {"png_2_8.png", "sound_24.wav", "sound.mp3"}) {
    EXPECT_THAT(DecodeVideo(MediaBytes(name), {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is no video that can be decoded: ")))
        << name;
  }
  EXPECT_THAT(DecodeVideo("", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it is empty")));
  EXPECT_THAT(DecodeVideo("#EXTM3U\nfile:///etc/passwd", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it begins with")));
  const std::string clip = MediaBytes("clip.mp4");
  for (size_t n = 0; n < clip.size() / 2; n += 97) {
    EXPECT_FALSE(DecodeVideo(clip.substr(0, n), {}).ok()) << n;
  }
}

}  // namespace
}  // namespace keel
