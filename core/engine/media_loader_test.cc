#include "core/engine/media_loader.h"

#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/media/media_goldens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::MediaBytes;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kRate = 16000;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

MediaInput Url(const std::string& url, const std::string& place = "") {
  return {KEEL_MODALITY_IMAGE, MediaInput::Url{std::make_shared<const std::string>(url)}, place};
}

MediaInput File(const std::string& bytes, uint32_t modality = KEEL_MODALITY_IMAGE) {
  return {modality, MediaInput::File{std::make_shared<const std::string>(bytes)}, ""};
}

std::string DataUrl(const std::string& name) {
  return absl::StrCat("data:;base64,", absl::Base64Escape(MediaBytes(name)));
}

std::unique_ptr<MediaLoader> Loader(const MediaOptions& options = {}) {
  return MediaLoader::Create(options, /*base_dir=*/"").value();
}

TEST(MediaLoaderTest, LoadsWhatIsThereInOrder) {
  const auto given =
      std::make_shared<const MediaItem>(MediaItem{.height = 1, .width = 1, .rgb = {1, 2, 3}});
  KEEL_ASSERT_OK_AND_ASSIGN(
      const MediaItems items,
      Loader()->Load({Url(DataUrl("png_2_8.png")), given, File(MediaBytes("jpeg_420.jpg")),
                      File(MediaBytes("sound_24.wav"), KEEL_MODALITY_AUDIO),
                      File(MediaBytes("clip.mp4"), KEEL_MODALITY_VIDEO)},
                     kRate));
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[1], given);
  const uint32_t modalities[] = {KEEL_MODALITY_IMAGE, KEEL_MODALITY_IMAGE, KEEL_MODALITY_IMAGE,
                                 KEEL_MODALITY_AUDIO, KEEL_MODALITY_VIDEO};
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i]->modality, modalities[i]) << i;
    KEEL_EXPECT_OK(CheckMediaItem(*items[i])) << i;
  }
}

TEST(MediaLoaderTest, SoundsAreResampled) {
  const MediaInput sound = File(MediaBytes("sound_stereo.wav"), KEEL_MODALITY_AUDIO);
  for (const int rate : {8000, kRate, 48000}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const MediaItems items, Loader()->Load({sound}, rate));
    EXPECT_EQ(items[0]->rate, rate);
  }
}

TEST(MediaLoaderTest, ErrorsNameTheItem) {
  const auto loader = Loader();
  const absl::Status status =
      loader
          ->Load({Url(DataUrl("png_2_8.png")), Url("data:;base64,!!!!", "messages[0].content[1]")},
                 kRate)
          .status();
  EXPECT_THAT(status, StatusIs(kInvalid, StartsWith("messages[0].content[1] is no base64")));
  EXPECT_EQ(DetailOf(status, ErrorDetail::kField), "messages[0].content[1]");
  EXPECT_THAT(loader->Load({File("hello")}, kRate),
              StatusIs(kInvalid, StartsWith("media 0 is no image that can be decoded")));
  EXPECT_THAT(loader->Load({Url("file:///etc/passwd")}, kRate),
              StatusIs(kInvalid, HasSubstr("media 0 is a local file, which this server")));
  EXPECT_THAT(loader->Load({Url("https://example.com/a.png")}, kRate),
              StatusIs(kInvalid, HasSubstr("expected one of --allowed-media-domains (none)")));
}

TEST(MediaLoaderTest, LocalFilesAreReadBelowTheDirectory) {
  const std::string dir = JoinPath(getenv("TEST_TMPDIR"), "media");
  ASSERT_EQ(
      system(
          absl::StrCat("mkdir -p ", dir, " && cp core/media/testdata/png_2_8.png ", dir).c_str()),
      0);
  MediaOptions options;
  options.allowed_local_path = dir;
  const auto loader = Loader(options);
  KEEL_EXPECT_OK(loader->Load({Url(absl::StrCat("file://", dir, "/png_2_8.png"))}, kRate));
  EXPECT_THAT(loader->Load({Url(absl::StrCat("file://", dir, "/other.png"))}, kRate),
              StatusIs(kInvalid, HasSubstr("is not there")));
  EXPECT_THAT(loader->Load({Url("file:///etc/passwd")}, kRate),
              StatusIs(kInvalid, HasSubstr("is not below --allowed-local-media-path")));
  options.allowed_local_path = "none";
  const absl::Status status = MediaLoader::Create(options, dir).status();
  EXPECT_THAT(status, StatusIs(kInvalid, HasSubstr(absl::StrCat(dir, "/none"))));
  EXPECT_EQ(DetailOf(status, ErrorDetail::kFlag), "allowed-local-media-path");
}

TEST(MediaLoaderTest, LimitsHold) {
  const std::string image = MediaBytes("png_2_8.png");
  KEEL_ASSERT_OK_AND_ASSIGN(const MediaItems items, Loader()->Load({File(image)}, kRate));
  const int64_t pixels = items[0]->height * items[0]->width;
  MediaOptions options;
  options.limits = {{"image", 2}, {"audio", 0}};
  options.max_pixels = 2 * pixels - 1;
  const auto loader = Loader(options);
  KEEL_EXPECT_OK(loader->Load({File(image)}, kRate));
  // Two together have more pixels than they may, whatever each has.
  EXPECT_THAT(
      loader->Load({File(image), File(image)}, kRate),
      StatusIs(kInvalid, HasSubstr(absl::StrCat("expected at most ", pixels - 1, " in all"))));
  EXPECT_THAT(loader->Load({File(image), File(image), File(image)}, kRate),
              StatusIs(kInvalid, HasSubstr("media 2 is image 3 of the request, expected at most 2 "
                                           "(--limit-mm-per-prompt)")));
  EXPECT_THAT(loader->Load({File(MediaBytes("sound_24.wav"), KEEL_MODALITY_AUDIO)}, kRate),
              StatusIs(kInvalid, HasSubstr("media 0 is audio 1 of the request")));
  options = MediaOptions();
  options.max_bytes = 10;
  const auto small = Loader(options);
  EXPECT_THAT(small->Load({File(image)}, kRate),
              StatusIs(kInvalid, HasSubstr("--max-media-bytes")));
  EXPECT_THAT(small->Load({Url(DataUrl("png_2_8.png"))}, kRate),
              StatusIs(kInvalid, HasSubstr("bytes, expected at most 10")));
}

}  // namespace
}  // namespace keel
