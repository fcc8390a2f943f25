#include "core/media/media_pool.h"

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/media/media_goldens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEL_HAS_NO_JAIL 1
#endif

namespace keel {
namespace {

using ::keel::testing::MediaBytes;
using ::keel::testing::MediaGoldens;
using ::keel::testing::OfDigits;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<MediaPool> Pool(MediaPool::Options options = {}) {
  return MediaPool::Create(options).value();
}

// The processes that this one has started, on whatever thread.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  std::ifstream list(absl::StrCat("/proc/self/task/", getpid(), "/children"));
  for (pid_t pid; list >> pid;) children.push_back(pid);
  return children;
}

TEST(MediaPoolTest, DecodesInAChildAsTheDecodersDo) {
  const auto pool = Pool();
  for (const char* name : {"png_6_16_interlaced.png", "jpeg_420_progressive.jpg", "webp_alpha.webp",
                           "gif_inside.gif"}) {
    const auto image = pool->DecodeImage(MediaBytes(name));
    ASSERT_TRUE(image.ok()) << name << ": " << image.status();
    const boost::json::object golden = MediaGoldens("images.json").at(name).as_object();
    EXPECT_EQ(image->height, golden.at("height").as_int64()) << name;
    EXPECT_EQ(image->width, golden.at("width").as_int64()) << name;
    EXPECT_EQ(image->rgb, OfDigits(golden.at("rgb"))) << name;
  }
  for (const char* name : {"clip.mp4", "clip.mov", "clip.webm", "clip_vp8.webm", "clip.avi"}) {
    const auto video = pool->DecodeVideo(MediaBytes(name), {.sampling = {.num_frames = 3}});
    ASSERT_TRUE(video.ok()) << name << ": " << video.status();
    EXPECT_EQ(video->rgb.size(), static_cast<size_t>(3 * video->height * video->width * 3)) << name;
    EXPECT_EQ(video->seconds.size(), 3) << name;
    EXPECT_EQ(video->total_frames, 12) << name;
  }
  for (const auto& [name, golden] : MediaGoldens("sounds.json")) {
    const auto audio = pool->DecodeAudio(MediaBytes(std::string(name)), {.rate = 16000});
    ASSERT_TRUE(audio.ok()) << name << ": " << audio.status();
    EXPECT_EQ(audio->rate, 16000) << name;
    EXPECT_NEAR(audio->samples.size(), OfDigits(golden.at("at_16000")).size() / 4, 50) << name;
  }
}

TEST(MediaPoolTest, ErrorsAreTheDecoders) {
  const auto pool = Pool();
  EXPECT_THAT(pool->DecodeImage("hello"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("is no image that can be decoded: it begins with")));
  EXPECT_THAT(pool->DecodeImage(MediaBytes("png_2_8.png"), {.max_pixels = 5}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("expected at most 5")));
  EXPECT_THAT(pool->DecodeVideo(""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it is empty")));
  EXPECT_THAT(pool->DecodeAudio(MediaBytes("png_2_8.png")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no sound")));
}

TEST(MediaPoolTest, AChildThatDiesFailsItsItemAloneAndIsReplaced) {
  const auto pool = Pool({.size = 1});
  const std::vector<pid_t> children = Children();
  ASSERT_EQ(children.size(), 1);
  kill(children[0], SIGKILL);
  const std::string image = MediaBytes("png_2_8.png");
  EXPECT_THAT(
      pool->DecodeImage(image),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(StartsWith("is no image that can be decoded: "), HasSubstr("Killed"))));
  KEEL_EXPECT_OK(pool->DecodeImage(image));
  EXPECT_NE(Children(), children);
}

TEST(MediaPoolTest, AChildThatStallsIsEnded) {
  MediaPool::Options options;
  options.jail.program = "/bin/sleep";  // for as many seconds as it is told bytes of memory
  options.jail.wall_limit = absl::Milliseconds(100);
  const auto pool = Pool(options);
  EXPECT_THAT(pool->DecodeImage("x"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes longer than 100ms")));
  EXPECT_TRUE(Children().empty());
}

TEST(MediaPoolTest, WhatAChildSaysIsNotBelieved) {
  MediaPool::Options options;
  options.jail.program = "/bin/echo";
  const auto pool = Pool(options);
  EXPECT_THAT(pool->DecodeImage("x"), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("ends its process with status 0")));
}

#ifndef KEEL_HAS_NO_JAIL
TEST(MediaPoolTest, MemoryHasALimit) {
  // A header of 30,000 x 30,000 pixels, which this limit on pixels would let through.
  std::string png = MediaBytes("png_2_8.png").substr(0, 33);
  png.replace(16, 8, std::string("\0\0\x75\x30\0\0\x75\x30", 8));
  png.replace(29, 4, "\xe9\x45\x6f\xed");  // its checksum
  png += std::string("\0\0\x10\0IDAT", 8);
  const auto pool = Pool();
  EXPECT_THAT(pool->DecodeImage(png, {.max_pixels = int64_t{1} << 40}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("memory")));
  KEEL_EXPECT_OK(pool->DecodeImage(MediaBytes("png_2_8.png")));
}
#endif

TEST(MediaPoolTest, ThreadsShareTheChildren) {
  const auto pool = Pool({.size = 2});
  const std::string image = MediaBytes("jpeg_420.jpg");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5; ++n) KEEL_EXPECT_OK(pool->DecodeImage(image));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(MediaPoolTest, AMissingProgramIsSaidAtOnce) {
  MediaPool::Options options;
  options.jail.program = "/nowhere/keel-media";
  EXPECT_THAT(MediaPool::Create(options),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("/nowhere/keel-media"), HasSubstr("KEEL_MEDIA"))));
}

}  // namespace
}  // namespace keel
