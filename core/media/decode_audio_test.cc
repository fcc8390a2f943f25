#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

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
using ::testing::HasSubstr;

std::vector<float> Samples(const boost::json::value& digits) {
  const std::vector<uint8_t> bytes = OfDigits(digits);
  std::vector<float> samples(bytes.size() / sizeof(float));
  std::memcpy(samples.data(), bytes.data(), bytes.size());
  return samples;
}

// FFmpeg ends a Vorbis stream of one page that many samples early.
constexpr int kVorbisLacks = 128;

TEST(DecodeAudioTest, SamplesAreLibrosas) {
  for (const auto& [name, golden] : MediaGoldens("sounds.json")) {
    const std::string bytes = MediaBytes(std::string(name));
    const auto stored = DecodeAudio(bytes, {});
    ASSERT_TRUE(stored.ok()) << name << ": " << stored.status();
    EXPECT_EQ(stored->rate, golden.at("rate").as_int64()) << name;
    const int lacks = name == "sound.ogg" ? kVorbisLacks : 0;
    EXPECT_EQ(stored->samples.size() + lacks, golden.at("samples").as_int64()) << name;

    const auto audio = DecodeAudio(bytes, {.rate = 16000});
    ASSERT_TRUE(audio.ok()) << name << ": " << audio.status();
    EXPECT_EQ(audio->rate, 16000) << name;
    const std::vector<float> expected = Samples(golden.at("at_16000"));
    ASSERT_EQ(audio->samples.size() + lacks * 16000 / static_cast<int>(stored->rate),
              expected.size())
        << name;
    float largest = 0;
    for (size_t i = 0; i < audio->samples.size() - lacks; ++i)  // resampling blurs the end
      largest = std::max(largest, std::abs(audio->samples[i] - expected[i]));
    EXPECT_LT(largest, 2e-4) << name;
  }
}

TEST(DecodeAudioTest, SamplesAreNumbers) {
  std::string bytes = MediaBytes("sound_float.wav");
  for (const float wrong : {std::nanf(""), -HUGE_VALF, 1e30f}) {
    std::memcpy(bytes.data() + bytes.size() - sizeof(wrong), &wrong, sizeof(wrong));
    EXPECT_THAT(DecodeAudio(bytes, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 HasSubstr("decoded: audio has a sample of ")));
  }
}

TEST(DecodeAudioTest, AClipsSoundIsRefusedWhereItHasNone) {
  EXPECT_THAT(DecodeAudio(MediaBytes("clip.mp4"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has no audio")));
}

TEST(DecodeAudioTest, LimitsHold) {
  const std::string sound = MediaBytes("sound_24.wav");
  EXPECT_THAT(DecodeAudio(sound, {.max_seconds = 0.05}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("longer than 0.05 s")));
  for (const int rate : {-1, 1000000}) {
    EXPECT_THAT(DecodeAudio(sound, {.rate = rate}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 0 to 768000")));
  }
}

TEST(DecodeAudioTest, WhatIsNoSoundIsRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("RIFF"), std::string("MThd and so on"),
        MediaBytes("jpeg_420.jpg"), MediaBytes("sound.flac").substr(0, 30)}) {
    EXPECT_THAT(DecodeAudio(bytes, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 HasSubstr("is no sound that can be decoded: ")));
  }
}

}  // namespace
}  // namespace keel
