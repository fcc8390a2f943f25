#include "core/remote/jail_tensor.h"

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(JailTensorTest, BytesAreBounded) {
  EXPECT_THAT(TensorBytes(KEEL_F32, {2, 3}), IsOkAndHolds(24));
  EXPECT_THAT(TensorBytes(KEEL_U8, {0, int64_t{1} << 40}), IsOkAndHolds(0));
  EXPECT_THAT(TensorBytes(KEEL_F32, {int64_t{1} << 40}), StatusIs(kInvalid));
  EXPECT_THAT(TensorBytes(KEEL_F32, {int64_t{1} << 62, int64_t{1} << 62}), StatusIs(kInvalid));
  EXPECT_THAT(TensorBytes(KEEL_F32, {-1}), StatusIs(kInvalid));
  EXPECT_THAT(TensorBytes(0, {1}), StatusIs(kInvalid));
  EXPECT_THAT(TensorBytes(KEEL_U8, {1, 1, 1, 1, 1, 1, 1, 1, 1}), StatusIs(kInvalid));
}

TEST(JailTensorTest, AMessageIsAsLongAsItSays) {
  proto::JailTensor tensor;
  tensor.set_dtype(KEEL_U8);
  tensor.add_dims(3);
  tensor.set_data("abc");
  KEEL_EXPECT_OK(CheckTensor(tensor));
  tensor.set_data("ab");
  EXPECT_THAT(CheckTensor(tensor), StatusIs(kInvalid));
}

TEST(JailTensorTest, StridesAreTakenOut) {
  uint8_t data[] = {0, 1, 9, 2, 3, 9};
  const int64_t dims[] = {2, 2};
  RowMajorView view(KEEL_U8, dims, data);
  view.get()->strides[0] = 3;
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::JailTensor message, ToMessage(*view.get()));
  EXPECT_EQ(message.dtype(), KEEL_U8);
  EXPECT_EQ(message.data(), std::string("\0\1\2\3", 4));
}

// What a jailed plugin asks is outside input.
TEST(JailTensorTest, ASpectrumIsOfVectorsAndBounded) {
  const auto asked = [](int64_t samples, int64_t window, int64_t hop) {
    proto::PowerSpectrum out;
    *out.mutable_samples() = *ToMessage(std::vector<float>(samples).data(), samples);
    *out.mutable_window() = *ToMessage(std::vector<float>(window).data(), window);
    out.set_hop(hop);
    return out;
  };
  KEEL_EXPECT_OK(CheckSpectrum(asked(1000, 400, 160)));
  EXPECT_THAT(CheckSpectrum(asked(1000, 400, 0)), StatusIs(kInvalid));
  EXPECT_THAT(CheckSpectrum(asked(1000, 400, -1)), StatusIs(kInvalid));
  EXPECT_THAT(CheckSpectrum(asked(1 << 20, 400, 1)), StatusIs(kInvalid));  // 800 MiB
  proto::PowerSpectrum wrong = asked(1000, 400, 160);
  wrong.mutable_window()->set_dtype(KEEL_I32);
  EXPECT_THAT(CheckSpectrum(wrong), StatusIs(kInvalid));
  wrong = asked(1000, 400, 160);
  wrong.mutable_samples()->mutable_data()->pop_back();
  EXPECT_THAT(CheckSpectrum(wrong), StatusIs(kInvalid));
  wrong = asked(1000, 400, 160);
  wrong.mutable_samples()->clear_dims();
  wrong.mutable_samples()->set_data("four");
  EXPECT_THAT(CheckSpectrum(wrong), StatusIs(kInvalid));
  EXPECT_THAT(CheckSpectrum({}), StatusIs(kInvalid));
}

}  // namespace
}  // namespace keel
