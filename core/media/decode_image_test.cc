#include <algorithm>
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
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DecodeImageTest, PixelsArePillows) {
  const boost::json::object goldens = MediaGoldens("images.json");
  EXPECT_GT(goldens.size(), 80);
  for (const auto& [name, golden] : goldens) {
    const auto image = DecodeImage(MediaBytes(std::string(name)), {});
    ASSERT_TRUE(image.ok()) << name << ": " << image.status();
    EXPECT_EQ(image->height, golden.at("height").as_int64()) << name;
    EXPECT_EQ(image->width, golden.at("width").as_int64()) << name;
    const std::vector<uint8_t> expected = OfDigits(golden.at("rgb"));
    ASSERT_EQ(image->rgb.size(), expected.size()) << name;
    const auto differ = std::mismatch(image->rgb.begin(), image->rgb.end(), expected.begin());
    if (differ.first != image->rgb.end()) {
      ADD_FAILURE() << name << ": byte " << differ.first - image->rgb.begin() << " is "
                    << int{*differ.first} << ", expected " << int{*differ.second};
    }
  }
}

TEST(DecodeImageTest, ALargeImageIsRefusedByItsHeader) {
  for (const char* name : {"png_2_8.png", "jpeg_420.jpg", "webp_lossy.webp", "gif_global.gif"}) {
    EXPECT_THAT(DecodeImage(MediaBytes(name), {.max_pixels = 20}),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("expected at most 20")))
        << name;
  }
}

TEST(DecodeImageTest, AHeaderThatPromisesGigabytesTakesNone) {
  std::string gif = MediaBytes("gif_global.gif");
  gif.replace(6, 4, "\xff\xff\xff\xff");
  EXPECT_THAT(DecodeImage(gif, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("65535 x 65535 pixels")));
  std::string jpeg = MediaBytes("jpeg_grey.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg.replace(frame + 5, 4, "\xff\xdc\xff\xdc");  // the most that libjpeg takes
  EXPECT_THAT(DecodeImage(jpeg, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("65500 x 65500 pixels")));
}

TEST(DecodeImageTest, ATruncatedImageIsRefused) {
  for (const char* name :
       {"png_2_8.png", "png_3_4_interlaced.png", "jpeg_420.jpg", "jpeg_444_progressive.jpg",
        "webp_lossy.webp", "webp_animated.webp", "gif_plain.gif"}) {
    const std::string bytes = MediaBytes(name);
    for (size_t n = 0; n < bytes.size() * 3 / 4; n += 7) {
      EXPECT_THAT(DecodeImage(bytes.substr(0, n), {}),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr("is no image that can be decoded")))
          << name << " of " << n << " bytes";
    }
  }
}

TEST(DecodeImageTest, OtherBytesAreRefusedByTheirBeginning) {
  EXPECT_THAT(DecodeImage("", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it is empty")));
  EXPECT_THAT(DecodeImage("%PDF-1.7 and more", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("begins with 255044462d312e37"), HasSubstr("no PNG"))));
  // A name or a type that a client gives says nothing: this is a PNG's beginning and no more.
  EXPECT_THAT(DecodeImage("\x89PNG\r\n\x1a\n", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("PNG: ")));
}

}  // namespace
}  // namespace keel
