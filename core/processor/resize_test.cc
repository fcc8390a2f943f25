// Values of filters are held against transformers by tests/multimodal; here is what a call takes.
#include "core/processor/resize.h"

#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

// RGB8, of one value, or as it is given.
struct Image {
  Image(int64_t height, int64_t width, uint8_t value)
      : shape{height, width, 3},
        strides{width * 3, 3, 1},
        bytes(static_cast<size_t>(height * width * 3), value) {
    tensor.data = bytes.data();
    tensor.device = {1, 0};
    tensor.ndim = 3;
    tensor.dtype = {1, 8, 1};
    tensor.shape = shape;
    tensor.strides = strides;
  }
  int64_t shape[3], strides[3];
  std::vector<uint8_t> bytes;
  keel_dl_tensor tensor = {};
};

TEST(ResizeTest, KeepsAColourByEveryFilter) {
  for (const uint32_t filter : {KEEL_RESAMPLE_NEAREST, KEEL_RESAMPLE_LANCZOS,
                                KEEL_RESAMPLE_BILINEAR, KEEL_RESAMPLE_BICUBIC}) {
    Image from(7, 5, 0);
    for (size_t i = 0; i < from.bytes.size(); ++i) from.bytes[i] = static_cast<uint8_t>(i % 3 * 90);
    Image to(4, 11, 1);
    KEEL_ASSERT_OK(ResizeImage(from.tensor, filter, to.tensor));
    for (size_t i = 0; i < to.bytes.size(); ++i)
      ASSERT_EQ(to.bytes[i], i % 3 * 90) << "filter " << filter << ", byte " << i;
  }
}

// Half the size: bilinear with antialiasing is the mean of what a pixel covers, mostly.
TEST(ResizeTest, TakesAllPixelsIntoAccount) {
  Image from(8, 8, 0), to(1, 1, 0);
  for (size_t i = 0; i < from.bytes.size(); ++i) from.bytes[i] = i / 3 % 2 == 0 ? 0 : 200;
  KEEL_ASSERT_OK(ResizeImage(from.tensor, KEEL_RESAMPLE_BILINEAR, to.tensor));
  EXPECT_NEAR(to.bytes[0], 100, 2);
}

TEST(ResizeTest, RefusesWhatIsNoImage) {
  Image from(7, 5, 0), to(4, 4, 0);
  EXPECT_THAT(ResizeImage(from.tensor, 9, to.tensor),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("filter 9, expected 0 to 3")));
  from.tensor.dtype = {2, 32, 1};
  EXPECT_THAT(ResizeImage(from.tensor, KEEL_RESAMPLE_BILINEAR, to.tensor),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not RGB8")));
  from.tensor.dtype = {1, 8, 1};
  from.shape[2] = 4;
  EXPECT_THAT(ResizeImage(from.tensor, KEEL_RESAMPLE_BILINEAR, to.tensor),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not RGB8")));
}

}  // namespace
}  // namespace keel
