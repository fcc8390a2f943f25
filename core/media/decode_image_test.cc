#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/media/decode.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kTestData[] = "core/media/testdata";

std::string Bytes(const std::string& name) {
  auto bytes = ReadFile(JoinPath(kTestData, name));
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *std::move(bytes) : "";
}

// What Pillow makes of each image (tests/goldens/media_images.py).
boost::json::object Goldens() {
  auto goldens = ParseJson(Bytes("images.json"), "images.json");
  EXPECT_TRUE(goldens.ok()) << goldens.status();
  return goldens.ok() ? goldens->as_object() : boost::json::object();
}

TEST(DecodeImageTest, PixelsArePillows) {
  const boost::json::object goldens = Goldens();
  EXPECT_GT(goldens.size(), 80);
  for (const auto& [name, golden] : goldens) {
    const auto image = DecodeImage(Bytes(std::string(name)), {});
    ASSERT_TRUE(image.ok()) << name << ": " << image.status();
    EXPECT_EQ(image->height, golden.at("height").as_int64()) << name;
    EXPECT_EQ(image->width, golden.at("width").as_int64()) << name;
    const std::string expected = absl::HexStringToBytes(golden.at("rgb").as_string().c_str());
    ASSERT_EQ(image->rgb.size(), expected.size()) << name;
    const auto differ = std::mismatch(image->rgb.begin(), image->rgb.end(), expected.begin(),
                                      [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
    EXPECT_EQ(differ.first, image->rgb.end())
        << name << ": byte " << differ.first - image->rgb.begin() << " is " << int{*differ.first}
        << ", expected " << int{static_cast<uint8_t>(*differ.second)};
  }
}

TEST(DecodeImageTest, ALargeImageIsRefusedByItsHeader) {
  for (const char* name : {"png_2_8.png", "jpeg_420.jpg", "webp_lossy.webp", "gif_global.gif"}) {
    EXPECT_THAT(DecodeImage(Bytes(name), {.max_pixels = 20}),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("expected at most 20")))
        << name;
  }
}

TEST(DecodeImageTest, AHeaderThatPromisesGigabytesTakesNone) {
  // 65,535 x 65,535 pixels in the headers of small files.
  std::string gif = Bytes("gif_global.gif");
  gif.replace(6, 4, "\xff\xff\xff\xff");
  std::string jpeg = Bytes("jpeg_grey.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg.replace(frame + 5, 4, "\xff\xff\xff\xff");
  for (const std::string& bomb : {gif, jpeg}) {
    EXPECT_THAT(DecodeImage(bomb, {}),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("65535 x 65535 pixels")));
  }
}

TEST(DecodeImageTest, ATruncatedImageIsRefused) {
  for (const char* name : {"png_2_8.png", "png_3_4_interlaced.png", "jpeg_420.jpg",
                           "jpeg_444_progressive.jpg", "webp_lossy.webp", "webp_animated.webp",
                           "gif_plain.gif"}) {
    const std::string bytes = Bytes(name);
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
