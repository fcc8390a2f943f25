#include "core/graph/activations.h"

#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

auto TooMuch(const std::string& where) {
  return StatusIs(absl::StatusCode::kInvalidArgument,
                  AllOf(HasSubstr(where), HasSubstr("are held at once, expected at most")));
}

TEST(ActivationsTest, ARepeatIsBoundedByWhatItMakes) {
  KEEL_EXPECT_OK(RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) {
                   x = r->ops->repeat(r, x, 1, 1 << 10);  // 2^16 a token
                   return r->ops->narrow(r, x, 1, 0, 64);
                 }}).status());
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     x = r->ops->repeat(r, x, 1, 1 << 20);
                                     return r->ops->narrow(r, x, 1, 0, 64);
                                   }}),
              TooMuch("(repeat)"));
}

TEST(ActivationsTest, TheMostThatIsHeldAtOnceIsToldInElements) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel plain, RecordTinyModel());
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel wide,
                            RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) {
                              x = r->ops->repeat(r, x, 1, 1 << 10);
                              return r->ops->narrow(r, x, 1, 0, 64);
                            }}));
  const auto a_row = [](const RecordedModel& model) {
    return MostHeld(model.graph, model.graph.functions(0))->a_row;
  };
  EXPECT_GE(a_row(plain), 2 * 64);
  EXPECT_LT(a_row(plain), 1 << 12);
  EXPECT_GE(a_row(wide), 1 << 16);
  EXPECT_LT(a_row(wide), (1 << 16) + (1 << 12));
}

// Each is small, all of them are alive when the last is made.
TEST(ActivationsTest, ValuesThatAreHeldTogetherCountTogether) {
  const auto record = [](keel_run* r, keel_tensor x, bool together) {
    keel_tensor kept[8], sum = x;
    for (keel_tensor& value : kept) {
      value = r->ops->repeat(r, x, 1, 1 << 14);  // 2^20 a token
      if (!together) value = r->ops->narrow(r, value, 1, 0, 64);
    }
    for (const keel_tensor value : kept)
      sum = r->ops->add(r, sum, together ? r->ops->narrow(r, value, 1, 0, 64) : value);
    return sum;
  };
  static const auto shared = record;
  KEEL_EXPECT_OK(RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) {
                   return shared(r, x, false);
                 }}).status());
  EXPECT_THAT(
      RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) { return shared(r, x, true); }}),
      TooMuch("(repeat)"));
}

TEST(ActivationsTest, ValuesWithoutRowsAreBoundedToo) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     const int64_t dims[] = {1, 64};
                                     const float numbers[64] = {};
                                     keel_tensor table = r->ops->cast(
                                         r, r->ops->constant(r, KEEL_F32, 2, dims, numbers),
                                         KEEL_DTYPE_MODEL);
                                     for (int i = 0; i < 2; ++i)
                                       table = r->ops->repeat(r, table, 0, 1 << 20);
                                     table = r->ops->narrow(r, table, 0, 0, 1);
                                     return r->ops->add(r, x, table);
                                   }}),
              TooMuch("(repeat)"));
}

}  // namespace
}  // namespace keel
