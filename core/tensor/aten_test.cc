#include "core/tensor/aten.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include "core/base/status_matchers.h"
#include "core/tensor/dlpack.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

TEST(AtenTest, TypesSurviveTheWayThereAndBack) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI64, DType::kI32, DType::kU8,
                      DType::kBool, DType::kF8E4M3FN}) {
    ASSERT_TRUE(ToScalarType(dtype).has_value());
    EXPECT_EQ(FromScalarType(*ToScalarType(dtype)), dtype);
  }
  EXPECT_EQ(ToScalarType(DType::kF4E2M1), std::nullopt);
}

TEST(AtenTest, AnAtenErrorBecomesAStatusOfOneLine) {
  const absl::StatusOr<at::Tensor> result = CatchAten([] {
    return at::matmul(at::zeros({2, 3}), at::zeros({2, 3}));
  });
  ASSERT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2x3")));
  EXPECT_EQ(result.status().message().find('\n'), absl::string_view::npos);
}

TEST(AtenTest, AnAllocationThatCannotBeIsResourceExhausted) {
  const absl::StatusOr<at::Tensor> result = CatchAten([] { return at::empty({int64_t{1} << 52}); });
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DlpackTest, AViewHasTheTensorsShapeStridesAndType) {
  const at::Tensor tensor = at::zeros({2, 3, 4}, at::kBFloat16).transpose(1, 2);
  DlpackView view;
  KEEL_ASSERT_OK(view.Set(tensor));
  EXPECT_EQ(view.get()->data, tensor.data_ptr());
  EXPECT_EQ(view.get()->ndim, 3);
  EXPECT_EQ(view.get()->shape[1], 4);
  EXPECT_EQ(view.get()->strides[1], 1);
  EXPECT_EQ(view.get()->dtype.code, 4);
  EXPECT_EQ(view.get()->dtype.bits, 16);
}

TEST(DlpackTest, AnUndefinedTensorIsRefused) {
  DlpackView view;
  EXPECT_THAT(view.Set(at::Tensor()), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace keel
